// Maps of how a picture differs from its original, drawn into a canvas strip by strip, so that the page answers between
// them. Pixels are RGBA of 8 bits as getImageData gives them; both pictures have one size.
const STRIP = 1 << 18; // pixels
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]; // dark is equal
const WINDOW = 5; // pixels on each side of the middle one
const GAUSSIAN = normalized(Array.from({ length: 2 * WINDOW + 1 }, (_, at) => Math.exp(-((at - WINDOW) ** 2) / (2 * 1.5 ** 2))));
const [C1, C2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];

function normalized(weights) {
  const sum = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / sum);
}

function pixelsOf(image) {
  const canvas = make("canvas", "", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

// Draws `strip(first row, rows)` for all rows; false where `isStale` says in between that nobody waits any more.
async function drawStrips(canvas, { width, height }, strip, isStale) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const rows = Math.max(1, Math.floor(STRIP / width));
  for (let top = 0; top < height; top += rows) {
    if (top) await new Promise((resolve) => setTimeout(resolve));
    if (isStale()) return false;
    context.putImageData(strip(top, Math.min(rows, height - top)), 0, top);
  }
  return true;
}

function drawDifference(canvas, original, picture, gain, isStale) {
  const { width, data: one } = original;
  const other = picture.data;
  return drawStrips(canvas, original, (top, rows) => {
    const strip = new ImageData(width, rows);
    const from = 4 * width * top;
    for (let at = 0; at < strip.data.length; at += 4) {
      for (let color = 0; color < 3; color++) {
        strip.data[at + color] = gain * Math.abs(one[from + at + color] - other[from + at + color]); // clamps
      }
      strip.data[at + 3] = 255;
    }
    return strip;
  }, isStale);
}

function drawSsim(canvas, original, picture, isStale) {
  const { width } = original;
  const ramp = Array.from({ length: 256 }, (_, at) => rampColor(at / 255));
  return drawStrips(canvas, original, (top, rows) => {
    const strip = new ImageData(width, rows);
    ssimRows(original, picture, top, rows).forEach((value, at) => {
      const [red, green, blue] = ramp[Math.round(255 * Math.min(1, Math.max(0, 1 - value)))];
      strip.data.set([red, green, blue, 255], 4 * at);
    });
    return strip;
  }, isStale);
}

function rampColor(share) {
  const at = share * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[low].map((value, color) => Math.round(value + (at - low) * (RAMP[low + 1][color] - value)));
}

// SSIM of some rows of lightness (Wang et al. 2004); beyond its border a picture is mirrored.
function ssimRows(original, picture, top, rows) {
  const { width, height } = original;
  const taller = rows + 2 * WINDOW;
  const sums = Array.from({ length: 4 }, () => new Float32Array(width * taller)); // of a, b, aa + bb, ab along rows
  const [a, b] = [new Float32Array(width + 2 * WINDOW), new Float32Array(width + 2 * WINDOW)];
  for (let y = 0; y < taller; y++) {
    const row = mirrored(top + y - WINDOW, height) * width;
    for (let x = 0; x < a.length; x++) {
      const at = 4 * (row + mirrored(x - WINDOW, width));
      a[x] = lightness(original.data, at);
      b[x] = lightness(picture.data, at);
    }
    for (let x = 0; x < width; x++) {
      let [sumA, sumB, squares, products] = [0, 0, 0, 0];
      for (let tap = 0; tap < GAUSSIAN.length; tap++) {
        const [weight, one, other] = [GAUSSIAN[tap], a[x + tap], b[x + tap]];
        sumA += weight * one;
        sumB += weight * other;
        squares += weight * (one * one + other * other);
        products += weight * one * other;
      }
      const at = y * width + x;
      sums[0][at] = sumA;
      sums[1][at] = sumB;
      sums[2][at] = squares;
      sums[3][at] = products;
    }
  }
  const found = new Float32Array(width * rows);
  for (let at = 0; at < found.length; at++) {
    const [meanA, meanB, squares, products] = sums.map((sum) => {
      let value = 0;
      for (let tap = 0; tap < GAUSSIAN.length; tap++) value += GAUSSIAN[tap] * sum[at + tap * width];
      return value;
    });
    const means = meanA * meanA + meanB * meanB;
    found[at] = ((2 * meanA * meanB + C1) * (2 * (products - meanA * meanB) + C2)) / ((means + C1) * (squares - means + C2));
  }
  return found;
}

function mirrored(at, size) {
  const around = ((at % (2 * size)) + 2 * size) % (2 * size);
  return around < size ? around : 2 * size - 1 - around;
}

function lightness(pixels, at) {
  return 0.299 * pixels[at] + 0.587 * pixels[at + 1] + 0.114 * pixels[at + 2];
}
