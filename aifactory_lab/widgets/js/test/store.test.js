// A board says hello until it is answered: what is said while a kernel is still connecting is lost.

import assert from "node:assert/strict";
import { test } from "node:test";

import { storeOf } from "../src/store.js";

function deafModel() {
  const said = [];
  const hears = {};
  return { said, hears, on: (event, hear) => (hears[event] = hear), off: (event) => delete hears[event], send: ({ k }) => said.push(k) };
}

test("a hello that nobody heard is said again, and once answered pings follow", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const model = deafModel();
  const view = { schedule() {} };
  const store = storeOf(model);
  store.attach(view);
  t.mock.timers.tick(10_000);
  assert.deepEqual(model.said, ["hello", "hello", "hello"]);
  model.hears["msg:custom"]({ k: "tick", feed: 0 }, []); // a tick alone does not say what is drawn
  t.mock.timers.tick(5_000);
  model.hears["msg:custom"]({ k: "extras", absent: [] }, []);
  t.mock.timers.tick(5_000);
  assert.deepEqual(model.said.slice(3), ["hello", "ping"]);
  store.detach(view);
  t.mock.timers.tick(60_000);
  assert.equal(model.said.length, 5);
});
