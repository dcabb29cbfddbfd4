/**
 * @file The only classic script, inlined into the page's head: it runs before Gradio sends its first request.
 *
 * It holds what cannot wait for the modules to arrive: the visitor's secret, the one wrapper of `window.fetch`, which
 * sends it with every request to the demo, and the one global object, `smartDemo`. It also starts loading the modules.
 */
(() => {
  "use strict";
  const STORAGE_KEY = "smart-demo-visitor";
  const HEADER = "x-smart-visitor";
  const SECRET = /^[0-9a-f]{32}$/;
  const UPLOAD_PATH = "/gradio_api/upload";

  // ---- the visitor's secret ----
  // 128 random bits, made and stored in this browser. On a public page they give access to this browser's documents and
  // judgements; a private page needs none.
  let visitorSecret;

  function storedSecret() {
    try {
      return localStorage.getItem(STORAGE_KEY);
    } catch {
      return null;
    }
  }

  /** Return the secret; make one if the browser has none yet. */
  function secret() {
    visitorSecret ??= storedSecret();
    return SECRET.test(visitorSecret ?? "") ? visitorSecret : renew();
  }

  /** Replace the secret and return the new one. What belongs to the old one can no longer be reached. */
  function renew() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    visitorSecret = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    try {
      localStorage.setItem(STORAGE_KEY, visitorSecret);
    } catch {
      // Without storage, the secret lasts as long as the page.
    }
    document.documentElement.classList.toggle("has-no-storage", storedSecret() !== visitorSecret);
    return visitorSecret;
  }

  // Another tab replaced the secret, for example by deleting everything: use the new one here, too.
  addEventListener("storage", (event) => {
    if (event.key !== STORAGE_KEY || !SECRET.test(event.newValue ?? "") || event.newValue === visitorSecret) return;
    visitorSecret = event.newValue;
    location.reload();
  });

  // ---- what this browser remembers of the page's look, set before anything is drawn ----
  const look = document.documentElement;
  const PAGE_SIZE_KEY = "smart-demo-page-size";
  const ASKED_KEY = "smart-demo-asked";

  function recall(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  }

  function remember(key, value) {
    try {
      localStorage.setItem(key, value);
    } catch {
      // Without storage, the choice lasts as long as the page.
    }
  }

  /** Set the size of the pages on cards: `s`, `m` or `l`. */
  function setPageSize(size) {
    look.dataset.pageSize = ["s", "m", "l"].includes(size) ? size : "m";
  }

  /** Hide the promise of the page: the visitor has asked a question of their own. */
  function hidePromise() {
    look.classList.add("has-asked");
  }

  // The page comes with the answer to the first example, which is not what these addresses ask for. If theirs fails,
  // this one is better than none.
  setTimeout(() => look.classList.remove("is-linked"), 20_000);
  look.classList.toggle("is-linked", /[?&](q|like|in|k|lp|ll|sum|words|pooled|late)=/.test(location.search));
  setPageSize(recall(PAGE_SIZE_KEY));
  if (recall(ASKED_KEY)) hidePromise();

  // ---- the modules ----
  const folder = new URL(document.currentScript.dataset.modules, document.baseURI);
  const modules = Promise.all(
    ["pictures.js", "compare.js", "library.js", "judge.js", "outcomes.js", "adding.js"].map(
      (file) => import(new URL(file, folder)),
    ),
  ).then((loaded) => Object.assign({}, ...loaded));

  /** Return functions of these names that call the modules' exports, as soon as the modules have loaded. */
  function hooks(...names) {
    const whenLoaded =
      (name) =>
      async (...given) =>
        (await modules)[name](...given);
    return Object.fromEntries(names.map((name) => [name, whenLoaded(name)]));
  }

  // ---- requests ----
  const browserFetch = window.fetch;
  window.fetch = async (resource, options) => {
    const isRequest = resource instanceof Request;
    const { origin, pathname } = new URL(isRequest ? resource.url : resource, location.href);
    if (origin !== location.origin) return browserFetch(resource, options);
    const headers = new Headers(options?.headers ?? (isRequest ? resource.headers : undefined));
    headers.set(HEADER, secret());
    const send = () => browserFetch(resource, { ...options, headers });
    if (options?.method !== "POST" || !pathname.endsWith(UPLOAD_PATH)) return send();
    const { watchUpload } = await modules;
    return watchUpload(send, options.body);
  };

  /**
   * The page's only global object. Gradio's components call the hooks by name, in their `js_on_load`, when they are
   * mounted; a hook gets the component's element and what Gradio offers to it: `server`, `watch` and `trigger`.
   */
  window.smartDemo = {
    visitor: { secret, renew },
    look: {
      choosePageSize(size) {
        setPageSize(size);
        remember(PAGE_SIZE_KEY, size);
      },
      markAsked() {
        hidePromise();
        remember(ASKED_KEY, "1");
      },
    },
    ...hooks("results", "chips", "like", "hood", "documents", "boards", "queryList"),
    ...hooks("uploads", "outcomes", "adding"),
    judge: hooks("vote", "grade"),
  };
})();
