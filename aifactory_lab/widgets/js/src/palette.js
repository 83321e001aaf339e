// Colours: viridis for quantities, Okabe & Ito for lines and stations, and what a state looks like.

// viridis (matplotlib, CC0), every sixteenth: monotone in lightness, safe for the common colour-vision deficiencies.
const STOPS = [
  "440154", "481a6c", "472f7d", "414487", "39568c", "31688e", "2a788e", "23888e", "1f988b",
  "22a884", "35b779", "54c568", "7ad151", "a5db36", "d2e21b", "fde725",
].map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

const LEVELS = 256;
/** [r, g, b] of every level, from low to high. */
export const RAMP = Array.from({ length: LEVELS }, (_, level) => {
  const place = (level / (LEVELS - 1)) * (STOPS.length - 1);
  const low = Math.min(STOPS.length - 2, Math.floor(place));
  return STOPS[low].map((from, channel) => Math.round(from + (STOPS[low + 1][channel] - from) * (place - low)));
});
const CSS = RAMP.map(([r, g, b]) => `rgb(${r},${g},${b})`);
const LIGHT = RAMP.map(([r, g, b]) => luminance(r, g, b) > 0.25);

function luminance(...channels) {
  const [r, g, b] = channels.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Place in the ramp of a share of full scale. */
export function level(share) {
  return Math.max(0, Math.min(LEVELS - 1, Math.round(share * (LEVELS - 1))));
}

export const colour = (share) => CSS[level(share)];
/** Ink that reads on the colour of a share. */
export const inkOn = (share) => (LIGHT[level(share)] ? "#10131a" : "#ffffff");
export const gradient = () => `linear-gradient(90deg, ${CSS.filter((_, i) => i % 15 === 0).join(",")})`;

// Okabe & Ito (2008), without the yellow, which is too faint on white, and black, which is lost on dark ground.
export const LINES = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C8C8C"];
// The same hues, lighter, for dark ground.
const LINES_ON_DARK = ["#56B4E9", "#E69F00", "#26C596", "#E08FC0", "#F0E442", "#FF7F45", "#B0B7C0"];
export const lines = (theme) => (theme === "dark" ? LINES_ON_DARK : LINES);
export const LOST_COLOUR = "#D55E00";

const STATIONS = {
  raw: "#8C8C8C", ingest: "#8C8C8C", etl: "#0072B2", train: "#E69F00", tune: "#CC79A7", ladder: "#CC79A7",
  score: "#56B4E9", serve: "#009E73",
  corpus: "#8C8C8C", curate: "#0072B2", tokenize: "#56B4E9", pretrain: "#E69F00", serve_tokens: "#009E73",
};

/** The colour of a station: its own if it is a known one, else one of the lines', always the same for a name. */
export function stationColour(name) {
  const known = STATIONS[name.toLowerCase()];
  if (known) return known;
  let sum = 0;
  for (const letter of name) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return LINES[sum % LINES.length];
}

/** "#0072B2" and 0.2 → "rgba(0,114,178,0.2)". */
export function faded(hex, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}
