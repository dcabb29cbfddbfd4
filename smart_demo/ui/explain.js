/* "Where it matched" and "Score anatomy" in the viewer: one chip per query word, a heat map over the page and its legend.
   Query words are only set through textContent; Python makes and escapes the markup of the anatomy. */
(() => {
  "use strict";
  const { make, memory } = window.smartDemo;
  const MAPS = [["query", "Whole query", "The best similarity of each place to any part of the query"],
    ["winners", "Winner map", "What each place adds to the late part of the score"]];

  window.smartDemo.explaining = (viewer) => {
    const answers = memory(48);
    document.addEventListener("answered", answers.forget); // documents may have been added or deleted since
    let asked = "", page = "", chosen = "", expanded = false, turn = 0, name = "";

    const chips = make("div", { class: "why-chips", role: "group", "aria-label": "Where it matched" });
    const caption = make("span", { class: "why-caption" });
    const low = make("span"), high = make("span"), ramp = make("i");
    const scale = make("span", { class: "why-scale" }, low, ramp, high);
    const note = make("span", { class: "why-note" });
    const legend = make("p", { class: "why-legend", role: "status" }, scale, caption, note);
    const row = make("div", { class: "why" }, chips, legend);
    /* The map is blended by multiplication, so the print under it stays dark. A faint unblended copy shows it on dark pages. */
    const picture = make("img", { class: "viewer-layer why-map", alt: "", draggable: "false" });
    const copy = make("img", { class: "viewer-layer why-copy", alt: "", draggable: "false" });
    const outline = make("span", { class: "why-outline" });
    const frame = make("div", { class: "viewer-layer why-frame" }, outline);
    viewer.dialog.querySelector(".viewer-bar").after(row);
    viewer.image.after(picture, copy, frame);

    /* The layers get the position that the page has before it is panned or zoomed; --view then moves all of them alike. */
    function fit() {
      const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = viewer.image;
      const place = { left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${offsetWidth}px`, height: `${offsetHeight}px` };
      for (const layer of [picture, copy, frame]) Object.assign(layer.style, place);
    }
    const sizes = new ResizeObserver(fit);
    sizes.observe(viewer.image);
    sizes.observe(viewer.stage);
    viewer.image.addEventListener("load", fit);

    /* Ask the server, or return the stored answer to the same question. */
    const ask = (what, view) => answers.recall(
      [what, view, page, asked].join(" "), () => viewer.server[what]({ asked: JSON.parse(asked), page, view }));

    function showMessage(text) {
      caption.textContent = "";
      scale.hidden = true;
      note.textContent = text;
    }

    function showLayers(source, alt) {
      for (const layer of [picture, copy, frame]) layer.hidden = !source;
      for (const layer of [picture, copy]) source ? layer.setAttribute("src", source) : layer.removeAttribute("src");
      picture.alt = alt;
    }

    function clear() {
      showLayers("", "");
      viewer.stage.setAttribute("aria-label", name);
    }

    function markChosen() {
      for (const chip of chips.querySelectorAll("[data-view]")) chip.setAttribute("aria-pressed", String(chip.dataset.view === chosen));
      const reset = chips.querySelector(".why-reset");
      if (reset) reset.hidden = !chosen;
    }

    async function draw() {
      const now = ++turn;
      markChosen();
      if (!chosen) {
        clear();
        showMessage("Choose a word to see where this page is most similar to it. Its number is what it adds to the score.");
        return;
      }
      const answer = await ask("overlay", chosen);
      if (now !== turn) return;
      clear();
      if (answer.sentence) { showMessage(answer.sentence); return; }
      caption.textContent = answer.best ? `${answer.caption}, at best ${answer.best} on the page` : answer.caption;
      note.textContent = answer.note;
      low.textContent = answer.low;
      high.textContent = answer.high;
      ramp.style.background = answer.bar;
      scale.hidden = !answer.picture;
      showLayers(answer.picture, answer.alt);
      viewer.stage.setAttribute("aria-label", `${name}. ${answer.alt}`);
      outline.hidden = !answer.outline;
      outline.classList.toggle("is-closest", !answer.won);
      const [left, top, right, bottom] = (answer.outline ?? [0, 0, 0, 0]).map((part) => part * 100);
      Object.assign(outline.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
      fit();
    }

    function chip(view, label, attributes, ...more) {
      const text = make("bdi");
      text.textContent = label;
      return make("button", { type: "button", class: "why-chip", "data-view": view, "aria-pressed": "false", ...attributes }, text, ...more);
    }

    function wordChip(one) {
      const adds = make("span", { class: "why-adds" }), said = `${one.label}: adds ${one.adds} to the score, similarity ${one.similarity}`;
      adds.textContent = one.adds;
      const button = chip(one.view, one.label, { title: said, "aria-label": said }, adds);
      button.classList.toggle("is-more", one.more);
      button.style.setProperty("--fill", one.fill);
      return button;
    }

    function showChips({ chips: words, left_out: missing }) {
      const focused = chips.contains(document.activeElement) ? document.activeElement.dataset.view : null;
      const hidden = words.filter((one) => one.more).length, shown = words.filter((one) => expanded || !one.more || one.view === chosen);
      const nodes = MAPS.map(([view, label, title]) => { const node = chip(view, label, { title }); node.classList.add("is-map"); return node; });
      nodes.push(make("span", { class: "viewer-rule" }), ...shown.map(wordChip));
      if (expanded && missing) nodes.push(make("span", { class: "why-missing" }, `and ${missing} more`));
      if (hidden) {
        const all = make("button", { type: "button", class: "why-all", "aria-expanded": String(expanded) }, expanded ? "Fewer" : `Show all (${hidden} more)`);
        all.addEventListener("click", () => { expanded = !expanded; showChips({ chips: words, left_out: missing }); chips.querySelector(".why-all").focus(); });
        nodes.push(all);
      }
      const reset = make("button", { type: "button", class: "why-reset" }, "Reset");
      reset.addEventListener("click", () => { choose(""); chips.querySelector("[data-view]").focus(); });
      chips.replaceChildren(...nodes, reset);
      markChosen();
      if (focused) [...chips.children].find((node) => node.dataset.view === focused)?.focus();
    }

    function choose(view) {
      chosen = view;
      draw();
    }

    chips.addEventListener("click", (event) => {
      const view = event.target.closest("[data-view]")?.dataset.view;
      if (view) choose(view === chosen ? "" : view);
    });

    return {
      async show(card) {
        const before = asked;
        asked = viewer.root.querySelector(".answer")?.dataset.asked ?? "";
        page = card.dataset.page;
        name = viewer.stage.getAttribute("aria-label");
        row.hidden = !asked;
        clear();
        if (!asked) return;
        const question = (fields) => { const { text, picture } = JSON.parse(fields); return `${picture} ${text}`; };
        if (before && question(before) !== question(asked)) {
          if (chosen.startsWith("term-")) chosen = "";
          expanded = false;
          chips.replaceChildren();
        }
        const mine = page, drawn = draw(), answer = await ask("explain", "");
        if (page !== mine) return;
        if (answer.sentence) { chips.replaceChildren(); chosen = ""; await drawn; showMessage(answer.sentence); return; }
        showChips(answer);
        viewer.side.querySelector(".facts")?.insertAdjacentHTML("afterend", answer.anatomy);
      },
    };
  };
})();
