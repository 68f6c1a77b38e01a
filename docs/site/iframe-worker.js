// A page that is opened from disk may start no worker, and the search is one: here it runs in a hidden frame. (Zensical
// would load such a script from another host.)
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inside = this.frame.contentWindow;
      this.inside.postMessage = (data) => {
        // As of a worker: copied, and later.
        const event = new MessageEvent("message", { data: structuredClone(data) });
        setTimeout(() => {
          if (this.onmessage) this.onmessage(event);
          this.dispatchEvent(event);
        });
      };
      const script = this.inside.document.createElement("script");
      script.src = new URL(url, location.href).href;
      script.onload = () => {
        const due = this.waiting;
        this.waiting = null;
        due.forEach((data) => this.postMessage(data));
      };
      script.onerror = (event) => this.onerror && this.onerror(event);
      this.inside.document.body.append(script);
    }

    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else {
        const event = new this.inside.MessageEvent("message", { data: structuredClone(data) });
        setTimeout(() => this.inside && this.inside.dispatchEvent(event));
      }
    }

    terminate() {
      this.frame.remove();
      this.inside = null;
    }
  };
}
