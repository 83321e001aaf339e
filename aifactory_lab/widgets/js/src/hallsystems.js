// What runs through a hall, in words and colours: supply blue, return red, trays grey.

export const SYSTEMS = {
  supply: { label: "supply", light: "#1f77c9", dark: "#56b4e9" },
  return: { label: "return", light: "#d1432f", dark: "#ff7a5c" },
  power: { label: "power trays", light: "#8a939e", dark: "#7d8793" },
  network: { label: "network trays", light: "#b3bbc5", dark: "#a9b3bf" },
};

/** Whether a system's lines are trays, which are flat. */
export const isTray = (system) => system === "power" || system === "network";
