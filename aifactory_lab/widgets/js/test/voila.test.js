import assert from "node:assert/strict";
import { test } from "node:test";
import { letVoilaEndItsKernel } from "../src/voila.js";

function page(config, cookie = "") {
  return { cookie, getElementById: () => (config === undefined ? null : { textContent: config }) };
}

test("a voila page without the cookie gets one that tornado would have set", () => {
  const voila = page('{"appUrl": "voila/", "baseUrl": "/dash/"}');
  assert.equal(letVoilaEndItsKernel(voila), true);
  assert.match(voila.cookie, /^_xsrf=[0-9a-f]{32}; path=\/dash\/; SameSite=Strict$/);
});

test("a cookie that is there stays, and other pages are left alone", () => {
  const set = page('{"appUrl": "voila/"}', "a=1; _xsrf=mine");
  assert.equal(letVoilaEndItsKernel(set), false);
  assert.equal(set.cookie, "a=1; _xsrf=mine");
  for (const config of ['{"appUrl": "/lab"}', "{", "null", undefined]) assert.equal(letVoilaEndItsKernel(page(config)), false);
});
