// Voila ends a page's kernel when the page closes, by a beacon that must carry the `_xsrf` cookie back to its server;
// but no voila page sets that cookie, so the server refuses (403) and the kernel lives for ever. The check compares
// cookie and beacon, which only a page of this site can both write: any random token that we set before is right.

export function letVoilaEndItsKernel(page = document) {
  const config = configOf(page);
  if (!config?.appUrl?.startsWith("voila") || /(^|;\s*)_xsrf=/.test(page.cookie)) return false;
  page.cookie = `_xsrf=${token()}; path=${config.baseUrl || "/"}; SameSite=Strict`;
  return true;
}

function configOf(page) {
  try {
    return JSON.parse(page.getElementById("jupyter-config-data")?.textContent ?? "null");
  } catch {
    return null;
  }
}

/** 16 random bytes in hex: what tornado itself would have set. */
function token() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
