/* Who asks: 128 random bits, made and kept in this browser, go along with every request to the demo and nowhere else.
   On a public page they are the key to this browser's documents and judgements; a private page needs no key. */
(() => {
  "use strict";
  const KEPT_AS = "smart-demo-visitor", HEADER = "x-smart-visitor", SECRET = /^[0-9a-f]{32}$/;
  let secret;

  function read() {
    try { return localStorage.getItem(KEPT_AS); } catch { return null; }
  }

  function owner() {
    if (secret) return secret;
    secret = read();
    return SECRET.test(secret ?? "") ? secret : renew();
  }

  /* Another key: what the old one opened can no longer be reached. */
  function renew() {
    secret = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try { localStorage.setItem(KEPT_AS, secret); } catch { /* It lasts as long as the page, then. */ }
    document.documentElement.classList.toggle("keeps-nothing", read() !== secret);
    return secret;
  }

  const plain = window.fetch;
  window.fetch = (what, how) => {
    const request = what instanceof Request;
    if (new URL(request ? what.url : what, location.href).origin !== location.origin) return plain(what, how);
    const headers = new Headers(how?.headers ?? (request ? what.headers : undefined));
    headers.set(HEADER, owner());
    return plain(what, { ...how, headers });
  };

  /* Another tab of this browser took another key, such as after deleting everything: this one goes on with that. */
  addEventListener("storage", (event) => {
    if (event.key !== KEPT_AS || !SECRET.test(event.newValue ?? "") || event.newValue === secret) return;
    secret = event.newValue;
    location.reload();
  });

  window.smartVisit = { owner, renew };
})();
