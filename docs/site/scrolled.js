/* What scrolls sideways is reached by Tab while it is wider than its place, so that the arrow keys can scroll it. */
const reach = () => {
  for (const one of document.querySelectorAll("pre > code, .md-typeset__scrollwrap, .wide")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
};
addEventListener("load", () => {
  reach();
  // Tables get their boxes from the theme's script.
  new MutationObserver(reach).observe(document.querySelector("article"), { childList: true, subtree: true });
});
addEventListener("resize", reach);
