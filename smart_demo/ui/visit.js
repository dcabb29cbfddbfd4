/* The visitor's key: 128 random bits, made and stored in this browser, sent with every request to the demo and nowhere else.
   On a public page the key gives access to this browser's documents and judgements; a private page needs no key. */
(() => {
  "use strict";
  const STORAGE_KEY = "smart-demo-visitor", HEADER = "x-smart-visitor", SECRET = /^[0-9a-f]{32}$/;
  let secret;

  function read() {
    try { return localStorage.getItem(STORAGE_KEY); } catch { return null; }
  }

  function owner() {
    if (secret) return secret;
    secret = read();
    return SECRET.test(secret ?? "") ? secret : renew();
  }

  /* Replace the key. What belongs to the old key can no longer be reached. */
  function renew() {
    secret = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try { localStorage.setItem(STORAGE_KEY, secret); } catch { /* Without storage, the key lasts as long as the page. */ }
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

  /* Another tab of this browser replaced the key, for example by deleting everything: use the new one here, too. */
  addEventListener("storage", (event) => {
    if (event.key !== STORAGE_KEY || !SECRET.test(event.newValue ?? "") || event.newValue === secret) return;
    secret = event.newValue;
    location.reload();
  });

  window.smartVisit = { owner, renew };
})();
