// What a board would show and cannot: in friendly words, with the line that brings it.

import { h, rebuild, show } from "./dom.js";

export class Absent {
  /** roles: whose absence is told here. */
  constructor(board, roles) {
    Object.assign(this, { board, roles });
    this.element = h("div", { class: "af-absents" });
  }

  paint() {
    const found = this.board.store.extras.absent.filter(({ role }) => this.roles.includes(role));
    show(this.element, found.length > 0);
    rebuild(this.element, JSON.stringify(found), () => found.map(({ reason, mend }) =>
      h("div", { class: "af-absent" }, h("p", {}, reason.charAt(0).toUpperCase() + reason.slice(1)), mend ? h("code", {}, mend) : null)));
  }
}
