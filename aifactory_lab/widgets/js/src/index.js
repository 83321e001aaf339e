// The entry that anywidget calls: one store a model, one board a view.

import { Board } from "./board.js";
import { storeOf } from "./store.js";
import { letVoilaEndItsKernel } from "./voila.js";

function render({ model, el }) {
  letVoilaEndItsKernel();
  const board = new Board(model, storeOf(model));
  return board.mount(el);
}

export default { render };
