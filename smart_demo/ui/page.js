/* Behaviour of the page that needs no Python event: the viewer, marked pages, moving cards, the address, and confirming a
   delete. Text from documents is escaped in Python or set through textContent. */
(() => {
  "use strict";
  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  /* ---- downloads: a file made in memory, saved by the browser ---- */
  function save(file, name) {
    const link = make("a", { href: URL.createObjectURL(file), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  /* ---- the clipboard: copy a text, return whether it worked, and keep the focus on `button` ---- */
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      /* Without a secure address, or inside a frame, the browser only copies what is selected. */
      const area = make("textarea", { "aria-hidden": "true" });
      area.value = text;
      button.after(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      button.focus();
      return copied;
    }
  }

  /* Dialogs are appended here because Gradio scopes the style sheet's media queries to `.contain`. */
  const stage = () => document.querySelector(".gradio-container .contain") ?? document.body;

  /* ---- the address: `page` is the page open in the viewer; older links call it `at` ---- */
  const address = {
    read: () => new URLSearchParams(location.search),
    page: () => address.read().get("page") ?? address.read().get("at") ?? "",
    build: (parts) => `${location.pathname}${parts.size ? `?${parts}` : ""}`,
    write: (parts) => history.replaceState(history.state, "", address.build(parts)),
    change(changes) {
      const parts = address.read(), before = `${parts}`;
      for (const [name, value] of Object.entries(changes)) {
        if (value) parts.set(name, value);
        else parts.delete(name);
      }
      if (`${parts}` !== before) address.write(parts);
    },
    view: (page) => address.change({ at: "", page }),
  };

  /* ---- mark a page in both columns ---- */
  function mark(root, page) {
    root.toggleAttribute("data-marking", Boolean(page));
    for (const node of root.querySelectorAll("[data-page]")) {
      node.classList.toggle("is-marked", node.dataset.page === page);
    }
  }

  /* ---- animate cards to their new ranks when the weights change ---- */
  const places = new Map();
  function glide(root) {
    const query = root.querySelector(".answer")?.dataset.query;
    for (const card of root.querySelectorAll(".card")) {
      const key = `${card.dataset.side} ${card.dataset.page}`;
      const row = card.parentElement;
      const before = places.get(key);
      if (before !== undefined && before !== row.offsetTop && !calm()) {
        row.animate([{ transform: `translateY(${before - row.offsetTop}px)` }, { transform: "none" }],
          { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
      } else if (before === undefined && places.size && places.get("query") === query && !calm()) {
        row.animate([{ opacity: 0 }, { opacity: 1 }], { duration: 320 });
      }
    }
    places.clear();
    places.set("query", query);
    for (const card of root.querySelectorAll(".card")) {
      places.set(`${card.dataset.side} ${card.dataset.page}`, card.parentElement.offsetTop);
    }
  }

  /* ---- requests to the server: the last answers are cached, error sentences are not ---- */
  function memory(limit, silent = "The demo does not answer. Is it still running?") {
    const stored = new Map();
    async function recall(key, ask) {
      if (stored.has(key)) return stored.get(key);
      let answer;
      try { answer = await ask(); } catch { answer = null; }
      if (!answer) return { sentence: silent };
      if (!answer.sentence) {
        stored.set(key, answer);
        if (stored.size > limit) stored.delete(stored.keys().next().value);
      }
      return answer;
    }
    return { recall, peek: (key) => stored.get(key), forget: () => stored.clear() };
  }
  const pictures = memory(24, "The page could not be fetched. Is the demo still running?");
  const picture = (server, page) => pictures.recall(page, () => server.picture(page));

  /* ---- the viewer ---- */
  const viewer = {
    dialog: null, cards: [], at: 0, server: null, trigger: null, root: null, token: 0,
    scale: 1, x: 0, y: 0, pointers: new Map(),

    build() {
      if (this.dialog) return;
      this.frame();
      this.explaining = window.smartDemo.explaining(this);
      window.smartDemo.region(this);
    },

    /* Build the dialog, which the blind viewer of the Judge tab shares. */
    frame() {
      const button = (name, label, text) => make("button", { type: "button", "data-do": name, "aria-label": label, title: label }, text);
      this.title = make("p", { class: "viewer-title" });
      this.level = make("output", { class: "viewer-level", "aria-label": "Zoom" });
      this.image = make("img", { class: "viewer-image", alt: "", draggable: "false" });
      this.note = make("p", { class: "viewer-note", role: "status" });
      this.stage = make("div", { class: "viewer-stage", tabindex: "0", role: "img" }, this.image, this.note);
      this.side = make("aside", { class: "viewer-side", "aria-label": "Facts of this page" });
      this.dialog = make("dialog", { class: "viewer", "aria-label": "Page" },
        make("div", { class: "viewer-bar" }, this.title,
          make("div", { class: "viewer-tools" },
            button("previous", "Previous page of this column", "←"), button("next", "Next page of this column", "→"),
            make("span", { class: "viewer-rule" }),
            button("out", "Zoom out", "−"), this.level, button("in", "Zoom in", "+"), button("fit", "Fit the page", "Fit"),
            make("span", { class: "viewer-rule" }), button("close", "Close", "✕"))),
        make("div", { class: "viewer-body" }, this.stage, this.side));
      stage().append(this.dialog);
      this.dialog.addEventListener("click", (event) => {
        const action = event.target.closest("[data-do]")?.dataset.do;
        if (action) this.act(action);
        else if (event.target === this.dialog) this.dialog.close();
      });
      this.dialog.addEventListener("close", () => {
        document.documentElement.classList.remove("is-viewing");
        this.tell("");
        this.token += 1;
        const card = this.cards[this.at];
        if (card?.isConnected) card.focus();
      });
      this.dialog.addEventListener("keydown", (event) => {
        const keys = { ArrowLeft: "previous", ArrowUp: "previous", ArrowRight: "next", ArrowDown: "next", "+": "in", "=": "in", "-": "out", 0: "fit" };
        const action = keys[event.key];
        if (action && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); this.act(action); }
      });
      this.gestures();
    },

    /* Announce the page in view; the address, the region tool and the pair view listen. */
    tell(page) {
      document.dispatchEvent(new CustomEvent("viewing", { detail: page }));
    },

    act(action) {
      if (action === "close") this.dialog.close();
      if (action === "previous") this.show(this.at - 1);
      if (action === "next") this.show(this.at + 1);
      if (action === "in") this.zoom(this.scale * 1.4);
      if (action === "out") this.zoom(this.scale / 1.4);
      if (action === "fit") this.zoom(1);
    },

    open(root, card, server) {
      this.build();
      this.root = root;
      this.server = server;
      this.cards = [...root.querySelectorAll(`.card[data-side="${card.dataset.side}"]`)];
      document.documentElement.classList.add("is-viewing");
      if (!this.dialog.open) this.dialog.showModal();
      this.show(this.cards.indexOf(card));
      this.stage.focus();
    },

    show(at) {
      if (at < 0 || at >= this.cards.length) return;
      this.at = at;
      const card = this.cards[at];
      const column = card.dataset.side === "smart" ? "SMART" : "Pooled only";
      this.title.textContent = `${column} · ${at + 1} of ${this.cards.length}`;
      this.dialog.dataset.side = card.dataset.side;
      this.dialog.querySelector('[data-do="previous"]').disabled = at === 0;
      this.dialog.querySelector('[data-do="next"]').disabled = at === this.cards.length - 1;
      const facts = card.nextElementSibling?.firstElementChild;
      this.side.replaceChildren(...(facts ? [facts.cloneNode(true)] : []));
      this.stage.setAttribute("aria-label", this.side.querySelector(".facts-name")?.textContent ?? "Page");
      mark(this.root, card.dataset.page);
      this.tell(card.dataset.page);
      this.zoom(1);
      this.load(card);
      this.explaining.show(card);
    },

    async load(card) {
      const token = ++this.token, page = card.dataset.page, thumb = card.querySelector("img.thumb");
      this.note.textContent = "";
      const stored = pictures.peek(page)?.picture;
      this.image.classList.toggle("is-coarse", !stored);
      this.image.hidden = !stored && !thumb;
      this.image.src = stored ?? thumb?.src ?? "";
      if (stored) return;
      const answer = await picture(this.server, page);
      if (token !== this.token) return;
      if (answer.picture) {
        this.image.src = answer.picture;
        this.image.hidden = false;
        this.image.classList.remove("is-coarse");
      } else {
        this.image.classList.remove("is-coarse");
        this.note.textContent = answer.sentence;
      }
    },

    zoom(scale, x = 0, y = 0) {
      const next = Math.min(Math.max(scale, 1), 8), factor = next / this.scale;
      this.x = x - (x - this.x) * factor;
      this.y = y - (y - this.y) * factor;
      this.scale = next;
      this.place();
    },

    place() {
      const wide = Math.max(0, (this.image.clientWidth * this.scale - this.stage.clientWidth) / 2);
      const high = Math.max(0, (this.image.clientHeight * this.scale - this.stage.clientHeight) / 2);
      this.x = Math.min(Math.max(this.x, -wide), wide);
      this.y = Math.min(Math.max(this.y, -high), high);
      this.stage.style.setProperty("--view", `translate(${this.x}px, ${this.y}px) scale(${this.scale})`);
      this.stage.style.setProperty("--zoom", this.scale);
      this.level.textContent = `${Math.round(this.scale * 100)} %`;
      this.stage.classList.toggle("is-zoomed", this.scale > 1);
    },

    centred(event) {
      const box = this.stage.getBoundingClientRect();
      return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    },

    gestures() {
      const stage = this.stage, spread = () => {
        const [a, b] = [...this.pointers.values()];
        return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      };
      let pinch = 0;
      stage.addEventListener("wheel", (event) => {
        event.preventDefault();
        this.zoom(this.scale * Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0022)), ...this.centred(event));
      }, { passive: false });
      stage.addEventListener("dblclick", (event) => this.zoom(this.scale > 1 ? 1 : 2.5, ...this.centred(event)));
      stage.addEventListener("pointerdown", (event) => {
        stage.setPointerCapture(event.pointerId);
        this.pointers.set(event.pointerId, event);
        if (this.pointers.size === 2) pinch = spread() / this.scale;
      });
      stage.addEventListener("pointermove", (event) => {
        const before = this.pointers.get(event.pointerId);
        if (!before) return;
        this.pointers.set(event.pointerId, event);
        if (this.pointers.size === 2) this.zoom(spread() / pinch, ...this.centred(event));
        else { this.x += event.clientX - before.clientX; this.y += event.clientY - before.clientY; this.place(); }
      });
      for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.pointers.delete(event.pointerId));
      addEventListener("resize", () => this.dialog.open && this.place());
    },
  };

  /* ---- ask before a document is deleted ---- */
  function confirmDelete(button, onConfirm) {
    const name = make("b");
    name.textContent = button.dataset.name;
    const what = make("p", {}, name, make("br"));
    what.append(`${button.dataset.facts}. Its pages, vectors and pictures are removed from the disk.`);
    const keep = make("button", { type: "button", class: "quiet-button" }, "Keep it");
    const remove = make("button", { type: "button", class: "delete-button" }, "Delete");
    const dialog = make("dialog", { class: "confirm", "aria-labelledby": "confirm-title" },
      make("h2", { id: "confirm-title" }, "Delete this document?"), what, make("div", { class: "confirm-tools" }, keep, remove));
    keep.addEventListener("click", () => dialog.close());
    remove.addEventListener("click", () => { dialog.close(); onConfirm(); });
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); if (button.isConnected) button.focus(); });
    stage().append(dialog);
    dialog.showModal();
    keep.focus();
  }

  /* ---- ask before everything is deleted, report the result, then reload the page with a new visitor key ---- */
  function confirmDeleteAll(button, server) {
    const title = make("h2", { id: "confirm-title" }, "Delete all your documents and judgements?");
    const what = make("p", { role: "status" },
      "All your documents with their pages, vectors and pictures, and all your judgements are removed from the disk. This cannot be undone.");
    const keep = make("button", { type: "button", class: "quiet-button" }, "Keep it");
    const remove = make("button", { type: "button", class: "delete-button" }, "Delete everything");
    const dialog = make("dialog", { class: "confirm", "aria-labelledby": "confirm-title" },
      title, what, make("div", { class: "confirm-tools" }, keep, remove));
    let deleted = false;
    keep.addEventListener("click", () => dialog.close());
    remove.addEventListener("click", async () => {
      remove.disabled = keep.disabled = true;
      let answer;
      try { answer = await server.forget({ sure: true }); } catch { answer = null; }
      deleted = Boolean(answer?.done);
      what.textContent = answer?.done ?? answer?.sentence ?? "The demo does not answer. Is it still running?";
      if (deleted) { title.textContent = "Deleted"; window.smartVisit.renew(); window.smartIntake.forget(); }
      remove.remove();
      keep.textContent = "Close";
      keep.disabled = false;
      keep.focus();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (deleted) location.assign(location.pathname);
      else if (button.isConnected) button.focus();
    });
    stage().append(dialog);
    dialog.showModal();
    keep.focus();
  }

  /* ---- from the Library to a search in it, by the clicks that a visitor would make ---- */
  function searchIn(scope) {
    document.querySelector('#tabs [role="tab"][data-tab-id="compare"]')?.click();
    setTimeout(() => {
      document.querySelector(`#scope input[value="${scope}"]`)?.click();
      document.querySelector("#query textarea")?.select();
    }, 60);
  }

  /* ---- keep the address a link to the answer on the screen ---- */
  function updateAddress(root) {
    const link = root.querySelector("[data-link]")?.dataset.link;
    if (link === undefined || link === shown) return;
    const first = shown === undefined;
    shown = link;
    if (first) return;
    const now = address.read(), next = new URLSearchParams(link);
    for (const name of ["present", "page", "at", "__theme"]) if (now.has(name)) next.set(name, now.get(name));
    address.write(next);
  }
  let shown;

  /* ---- called by the HTML components when they are mounted ---- */
  window.smartDemo = {
    address, copy, make, memory, picture, save, stage, viewer,
    results(element, server, watch, trigger) {
      viewer.trigger = trigger;
      const card = (event) => event.target.closest?.(".card");
      for (const [name, on] of [["pointerover", true], ["pointerout", false], ["focusin", true], ["focusout", false]]) {
        element.addEventListener(name, (event) => card(event) && mark(element, on ? card(event).dataset.page : ""));
      }
      element.addEventListener("click", (event) => card(event) && viewer.open(element, card(event), server));
      element.addEventListener("keydown", (event) => {
        const here = card(event), step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        const across = { ArrowRight: "smart", ArrowLeft: "pooled" }[event.key];
        if (!here || (!step && !across)) return;
        const column = [...element.querySelectorAll(`.card[data-side="${across ?? here.dataset.side}"]`)];
        const row = [...here.closest(".ranking").children].indexOf(here.parentElement);
        const next = across ? column.find((c) => c.dataset.page === here.dataset.page) ?? column[row] : column[row + step];
        if (next) { event.preventDefault(); next.focus(); }
      });
      window.smartDemo.pairing(element, server);
      watch("value", () => { glide(element); updateAddress(element); document.dispatchEvent(new CustomEvent("answered")); });
      glide(element);
      updateAddress(element);
      window.smartDemo.server = server;
    },
    chips(element, trigger) {
      element.addEventListener("click", (event) => {
        const chip = event.target.closest(".chip");
        if (chip) trigger("select", { query: chip.dataset.query });
      });
    },
    documents(element, server, trigger) {
      element.addEventListener("click", (event) => {
        const everything = event.target.closest("[data-forget]");
        if (everything) confirmDeleteAll(everything, server);
        const button = event.target.closest("[data-remove]");
        if (button) confirmDelete(button, () => trigger("delete", { file: button.dataset.remove }));
        const library = event.target.closest("[data-search-in]");
        if (library) searchIn(library.dataset.searchIn);
      });
    },
  };

  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("[data-open]");
    const target = link && document.getElementById(link.dataset.open);
    if (!target) return;
    event.preventDefault();
    target.open = true;
    target.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "start" });
    target.querySelector("summary").focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea, dialog")) return;
    const box = document.querySelector("#query textarea, #query input");
    if (box) { event.preventDefault(); box.focus(); box.select(); }
  });
})();
