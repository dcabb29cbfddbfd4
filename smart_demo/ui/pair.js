/* "Why did X pass Y": two pages side by side, what each word adds on both, and where it matched. Python makes every number
   and sentence; this script sets them as text, with words and names in <bdi>. */
(() => {
  "use strict";
  const { make, stage, picture, memory } = window.smartDemo;
  const SIDES = ["X", "Y"], answers = memory(24);
  document.addEventListener("answered", answers.forget); // documents may have been added or deleted since
  let dialog, title, said, swap, note, table, sheets, server, opener, answer, asked = "", chosen = "", expanded = false, turn = 0;

  const text = (tag, attributes, said) => { const node = make(tag, attributes); node.textContent = said; return node; };

  /* ---- the dialog ---- */
  function sheet(side) {
    const select = make("select", { class: "pair-select", "aria-label": `Page ${side}` });
    const ranks = make("p", { class: "pair-ranks" });
    const image = make("img", { class: "pair-image", alt: "", draggable: "false" });
    const outline = make("span", { class: "pair-outline", hidden: "" });
    const paper = make("div", { class: "pair-paper", role: "img" }, image, outline);
    const close = make("img", { alt: "", draggable: "false" }), ring = make("span", { class: "pair-outline" });
    const detail = make("div", { class: "pair-detail", "aria-hidden": "true", hidden: "" }, close, ring);
    const place = make("p", { class: "pair-place", role: "status" });
    const head = make("div", { class: "pair-head" }, text("span", { class: "pair-tag", "aria-hidden": "true" }, side), select);
    const figure = make("figure", { class: "pair-page" }, head, ranks, make("div", { class: "pair-stage" }, paper), detail, place);
    select.addEventListener("change", () => choose(side));
    return { select, ranks, image, outline, paper, detail, close, ring, place, figure, box: null };
  }

  function build() {
    if (dialog) return;
    title = make("h2", { class: "pair-title", id: "pair-title" });
    const closeButton = make("button", { type: "button", class: "pair-close", "aria-label": "Close", title: "Close" }, "✕");
    sheets = SIDES.map(sheet);
    said = make("p", { class: "pair-said", role: "status" });
    swap = make("p", { class: "pair-swap" });
    note = text("p", { class: "pair-note" }, "Press a word to outline where it matched best on both pages. This shows similarity, not a reason.");
    table = make("table", { class: "pair-table" });
    const sums = make("div", { class: "pair-sums", tabindex: "0", role: "region", "aria-label": "What each word adds" }, said, swap, table, note);
    dialog = make("dialog", { class: "pair", "aria-labelledby": "pair-title" },
      make("div", { class: "pair-bar" }, title, closeButton),
      make("div", { class: "pair-body" }, make("div", { class: "pair-pages" }, ...sheets.map((one) => one.figure)), sums));
    stage().append(dialog);
    closeButton.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    dialog.addEventListener("close", () => {
      turn += 1;
      if (!document.querySelector("dialog.viewer[open]")) document.documentElement.classList.remove("is-viewing");
      /* Browsers return the focus by themselves if the opener had it. Do not take it from another element. */
      if (opener?.isConnected && document.activeElement === document.body) opener.focus();
    });
    table.addEventListener("click", (event) => {
      const row = event.target.closest("tr"), button = row?.querySelector("button");
      if (button?.matches(".pair-word")) chooseWord(button.dataset.word);
      else if (button) { expanded = !expanded; drawTable(); table.querySelector(".pair-more")?.focus(); }
    });
    table.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const all = [...table.querySelectorAll("button")], next = all[all.indexOf(document.activeElement) + step];
      if (next) { event.preventDefault(); next.focus(); }
    });
    new ResizeObserver(() => sheets.forEach(magnify)).observe(dialog);
  }

  function show(page, from) {
    asked = document.querySelector(".answer")?.dataset.asked ?? "";
    if (!asked || !server) return;
    build();
    opener = from;
    chosen = "";
    expanded = false;
    clear("");
    document.documentElement.classList.add("is-viewing");
    if (!dialog.open) dialog.showModal();
    load(page, "");
  }

  /* ---- requests to the server ---- */
  const ask = (page, other) =>
    answers.recall([page, other, asked].join(" "), () => server.pair({ asked: JSON.parse(asked), page, other }));

  async function load(page, other) {
    const now = ++turn;
    dialog.setAttribute("aria-busy", "true");
    const reply = await ask(page, other);
    if (now !== turn) return;
    dialog.removeAttribute("aria-busy");
    if (reply.sentence) { clear(reply.sentence); return; }
    answer = reply;
    title.textContent = reply.title;
    said.replaceChildren(...reply.said.map((piece) => ("word" in piece ? text("bdi", {}, `“${piece.word}”`) : piece.text)));
    swap.textContent = reply.swap;
    sheets.forEach((one, side) => showPage(one, reply.pages[side], reply.choices, now));
    const words = [...reply.lines, ...reply.folded].filter((line) => line.id);
    const first = reply.lines.find((line) => line.id) ?? words[0];
    if (!words.some((line) => line.id === chosen)) chosen = first?.id ?? "";
    if (reply.folded.some((line) => line.id && line.id === chosen)) expanded = true;
    drawTable();
    if (!other && dialog.contains(document.activeElement)) table.querySelector('[aria-pressed="true"]')?.focus({ preventScroll: true });
  }

  function clear(sentence) {
    answer = null;
    title.textContent = "Why?";
    said.textContent = sentence;
    swap.textContent = "";
    note.hidden = true;
    table.replaceChildren();
    for (const one of sheets) { one.place.textContent = ""; outlineSpot(one, null); }
  }

  /* Choosing the page of the other side swaps the two. */
  function choose(side) {
    const [x, y] = sheets.map((one) => one.select.value);
    if (x !== y) { load(x, y); return; }
    const before = answer?.pages.map((one) => one.key) ?? [];
    if (before.length) load(...(side === "X" ? [x, before[0]] : [before[1], y]));
  }

  /* ---- the two pages ---- */
  async function showPage(one, page, choices, now) {
    one.select.replaceChildren(...choices.map((choice) => text("option", { value: choice.key }, choice.label)));
    one.select.value = page.key;
    one.ranks.replaceChildren("Pooled only ", text("b", { class: "of-pooled" }, page.pooled), " · SMART ", text("b", { class: "of-smart" }, page.smart));
    one.paper.setAttribute("aria-label", `${page.name}, ${page.where}`);
    one.name = `${page.name}, ${page.where}`;
    one.image.width = page.width;
    one.image.height = page.height;
    if (one.page === page.key) return;
    one.page = page.key;
    const thumb = [...document.querySelectorAll(".card")].find((card) => card.dataset.page === page.key)?.querySelector("img.thumb");
    if (thumb) one.image.src = one.close.src = thumb.src;
    else for (const image of [one.image, one.close]) image.removeAttribute("src");
    one.image.classList.add("is-coarse");
    const reply = await picture(server, page.key);
    if (one.page !== page.key) return;
    if (reply.picture) one.image.src = one.close.src = reply.picture;
    else { one.page = ""; if (now === turn) one.place.textContent = reply.sentence; }
    one.image.classList.toggle("is-coarse", !reply.picture);
  }

  function outlineSpot(one, spot) {
    one.box = spot?.box ?? null;
    one.outline.hidden = one.detail.hidden = !one.box;
    for (const ring of [one.outline, one.ring]) ring.classList.toggle("is-closest", Boolean(spot) && !spot.won);
    if (!one.box) return;
    const [left, top, right, bottom] = one.box.map((part) => part * 100);
    Object.assign(one.outline.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    magnify(one);
  }

  /* Show the outlined place again, large enough to read, in a strip below the page. */
  function magnify(one) {
    const wide = one.detail.clientWidth, high = one.detail.clientHeight;
    if (!one.box || !wide) return;
    const [left, top, right, bottom] = one.box, ratio = one.image.height / one.image.width;
    const page = Math.min(Math.max(30 / ((bottom - top) * ratio), wide), Math.max(wide, 1500));
    const clamp = (at, room, size) => Math.min(0, Math.max(room - size, room / 2 - at * size));
    const x = clamp((left + right) / 2, wide, page), y = clamp((top + bottom) / 2, high, page * ratio);
    Object.assign(one.close.style, { width: `${page}px`, height: `${page * ratio}px`, left: `${x}px`, top: `${y}px` });
    Object.assign(one.ring.style, {
      left: `${x + left * page}px`, top: `${y + top * page * ratio}px`,
      width: `${(right - left) * page}px`, height: `${(bottom - top) * page * ratio}px`,
    });
  }

  /* ---- the table ---- */
  function cells(line, named) {
    const head = make("th", { scope: "row" }, named);
    const numbers = ["first", "second", "difference"].map((part) => text("td", { class: `pair-${part}` }, line[part]));
    const bar = make("i", { style: `--from: ${Math.min(line.bar, 0)}; --long: ${Math.abs(line.bar)}` });
    return [head, ...numbers, make("td", { class: "pair-lean", "aria-hidden": "true" }, ...(line.kind === "total" ? [] : [bar]))];
  }

  function row(line, folded) {
    let named = text("span", {}, line.label);
    if (line.id) {
      named = make("button", { type: "button", class: "pair-word", "data-word": line.id, "aria-pressed": String(line.id === chosen) }, text("bdi", {}, line.label));
    } else if (line.kind === "several" && !folded) {
      named = text("button", { type: "button", class: "pair-more", "aria-expanded": String(expanded) }, line.label);
    }
    const node = make("tr", { class: `is-${line.kind}` }, ...cells(line, named));
    node.classList.toggle("is-folded", Boolean(folded));
    node.classList.toggle("is-pressed", Boolean(line.id) && line.id === chosen);
    return node;
  }

  function drawTable() {
    const focused = table.contains(document.activeElement) ? document.activeElement.dataset.word : null;
    const heads = ["", "on X", "on Y", "X − Y"].map((said) => (said ? text("th", { scope: "col" }, said) : make("td")));
    const lean = make("td", { class: "pair-lean", "aria-hidden": "true" }, text("span", {}, "← Y"), text("span", {}, "X →"));
    const rows = answer.lines.map((line) => row(line));
    if (answer.fold) rows.push(row(answer.fold), ...(expanded ? answer.folded.map((line) => row(line, true)) : []));
    table.replaceChildren(make("caption", {}, "What each part adds to the score"), make("thead", {}, make("tr", {}, ...heads, lean)),
      make("tbody", {}, ...rows), make("tfoot", {}, row(answer.total)));
    note.hidden = !chosen;
    if (focused) [...table.querySelectorAll(".pair-word")].find((button) => button.dataset.word === focused)?.focus();
    chooseWord(chosen);
  }

  function chooseWord(word) {
    chosen = word;
    for (const button of table.querySelectorAll(".pair-word")) {
      button.setAttribute("aria-pressed", String(button.dataset.word === word));
      button.closest("tr").classList.toggle("is-pressed", button.dataset.word === word);
    }
    const line = [...answer.lines, ...answer.folded].find((one) => one.id === word);
    sheets.forEach((one, side) => {
      const spot = line?.spots[side];
      outlineSpot(one, spot);
      one.place.textContent = spot?.said ?? "";
      one.paper.setAttribute("aria-label", spot ? `${one.name}. ${line.label}: ${spot.said}` : one.name);
    });
  }

  /* ---- opened from a moved card and from the viewer ---- */
  window.smartDemo.pairing = (element, given) => {
    server = given;
    element.addEventListener("click", (event) => {
      const why = event.target.closest?.("[data-why]");
      if (why) show(why.dataset.why, why);
    });
  };

  document.addEventListener("viewing", (event) => {
    const ranks = document.querySelector("dialog.viewer .facts-ranks"), page = event.detail;
    if (!page || !ranks || !document.querySelector(".answer")?.dataset.asked) return;
    const button = make("button", { type: "button", class: "pair-open" }, "Compare with another page…");
    button.addEventListener("click", () => show(page, button));
    ranks.after(button);
  });
})();
