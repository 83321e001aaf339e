// The entry that anywidget calls for the hall; a bundle of its own, so that boards do not carry three.js.

import { HallView } from "./hallview.js";
import { letVoilaEndItsKernel } from "./voila.js";

function render({ model, el }) {
  letVoilaEndItsKernel();
  return new HallView(model).mount(el);
}

export default { render };
