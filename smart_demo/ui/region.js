/* "Find more like this" in the viewer: searches with a rectangle drawn on the page, or with the whole page. The rectangle is
   stored in fractions of the page, so it stays in place when the page is panned or zoomed. */
(() => {
  "use strict";
  const make = window.smartDemo.make;
  const WHOLE = [0, 0, 1, 1];
  const LEAST = 8; // pixels; a smaller rectangle is taken for a tap
  const HINT = "Drag over a part of the page.";
  /* The sides that each corner moves, as indices into left, top, right, bottom. */
  const CORNERS = { nw: [0, 1], ne: [2, 1], se: [2, 3], sw: [0, 3] };
  const clip = (value) => Math.min(Math.max(value, 0), 1);

  window.smartDemo.region = (viewer) => {
    let drawing = false, box = null, drag = null;

    const icon = make("span", { class: "region-icon", "aria-hidden": "true" });
    const tool = make("button", { type: "button", class: "region-tool", "aria-pressed": "false", "aria-label": "Find more like this",
      title: "Draw on the page to search for similar pages" }, icon, make("span", { class: "region-label" }, "Find more like this"));
    const grips = Object.keys(CORNERS).map((corner) => make("i", { class: `region-grip is-${corner}`, "data-corner": corner }));
    const mark = make("div", { class: "region-box" }, ...grips);
    const frame = make("div", { class: "viewer-layer region-frame" }, mark);
    const sheet = make("div", { class: "region-sheet" });
    const hint = make("p", { class: "region-hint", role: "status" });
    const part = make("button", { type: "button", class: "region-go" }, "Search this part");
    const whole = make("button", { type: "button" }, "Search the whole page");
    const bar = make("div", { class: "region-bar", role: "group", "aria-label": "Find more like this" }, hint, part, whole);
    viewer.dialog.querySelector('.viewer-tools [data-do="close"]').before(tool);
    viewer.stage.append(sheet, frame, bar);

    /* The frame gets the position that the page has before it is panned or zoomed; --view then moves both alike. */
    function fit() {
      const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = viewer.image;
      Object.assign(frame.style, { left: `${offsetLeft}px`, top: `${offsetTop}px`, width: `${offsetWidth}px`, height: `${offsetHeight}px` });
    }
    const sizes = new ResizeObserver(fit);
    sizes.observe(viewer.image);
    sizes.observe(viewer.stage);
    viewer.image.addEventListener("load", fit);

    function draw() {
      for (const node of [sheet, frame, bar]) node.hidden = !drawing;
      mark.hidden = !box;
      part.disabled = !box;
      const text = box ? "" : HINT;
      if (hint.textContent !== text) hint.textContent = text;
      tool.setAttribute("aria-pressed", String(drawing));
      viewer.stage.classList.toggle("is-drawing", drawing);
      if (!box) return;
      const [left, top, right, bottom] = box.map((side) => side * 100);
      Object.assign(mark.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    }

    function toggle(on) {
      if (on === drawing) return;
      drawing = on;
      box = drag = null;
      fit();
      draw();
      (on ? whole : tool).focus({ preventScroll: true });
    }

    function search(corners) {
      const page = viewer.cards[viewer.at].dataset.page;
      toggle(false);
      viewer.dialog.close();
      viewer.trigger("select", { page, box: corners });
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      document.getElementById("ask")?.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "center" });
    }

    /* ---- drawing, moving and reshaping, by mouse, touch or pen ---- */
    const ready = () => !viewer.image.hidden && !viewer.image.classList.contains("is-coarse");

    function at(event) {
      const { left, top, width, height } = viewer.image.getBoundingClientRect();
      return [clip((event.clientX - left) / width), clip((event.clientY - top) / height)];
    }

    function newBox([x, y]) {
      const [fromX, fromY] = drag.from;
      if (drag.kind === "move") {
        const [left, top, right, bottom] = drag.box;
        const dx = Math.min(Math.max(x - fromX, -left), 1 - right), dy = Math.min(Math.max(y - fromY, -top), 1 - bottom);
        return [left + dx, top + dy, right + dx, bottom + dy];
      }
      return [Math.min(x, fromX), Math.min(y, fromY), Math.max(x, fromX), Math.max(y, fromY)];
    }

    /* Dragging a corner draws the box again from the opposite corner. */
    function startDrag(event) {
      const corner = event.target.closest?.("[data-corner]")?.dataset.corner;
      if (corner) {
        const [x, y] = CORNERS[corner];
        return { kind: "shape", from: [box[(x + 2) % 4], box[(y + 2) % 4]] };
      }
      return { kind: event.target === mark ? "move" : "draw", from: at(event), box };
    }

    for (const layer of [sheet, mark]) {
      layer.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        if (event.button || drag || !ready()) return;
        event.preventDefault();
        drag = { ...startDrag(event), id: event.pointerId, before: box };
        layer.setPointerCapture(event.pointerId);
      });
      layer.addEventListener("pointermove", (event) => {
        event.stopPropagation();
        if (drag?.id !== event.pointerId) return;
        box = newBox(at(event));
        draw();
      });
      for (const end of ["pointerup", "pointercancel"]) layer.addEventListener(end, (event) => {
        event.stopPropagation();
        if (drag?.id !== event.pointerId) return;
        const { width, height } = viewer.image.getBoundingClientRect();
        /* A tap or a very small rectangle removes the box. */
        if (end === "pointercancel") box = drag.before;
        else if (box && Math.min((box[2] - box[0]) * width, (box[3] - box[1]) * height) < LEAST) box = null;
        else if (drag.kind === "draw" && box === drag.before) box = null;
        drag = null;
        draw();
      });
      layer.addEventListener("dblclick", (event) => event.stopPropagation());
    }

    for (const name of ["pointerdown", "pointermove", "dblclick"]) bar.addEventListener(name, (event) => event.stopPropagation());
    tool.addEventListener("click", () => toggle(!drawing));
    part.addEventListener("click", () => box && search(box));
    whole.addEventListener("click", () => search(WHOLE));

    /* The first Escape ends drawing, the second closes the viewer. */
    const escape = (event) => {
      if (!drawing || (event.type === "keydown" && event.key !== "Escape")) return;
      event.preventDefault();
      event.stopPropagation();
      toggle(false);
    };
    viewer.dialog.addEventListener("keydown", escape, true);
    viewer.dialog.addEventListener("cancel", escape);
    /* The box belongs to the page it was drawn on, so discard it when another page is shown or the viewer closes. */
    document.addEventListener("viewing", (event) => {
      box = drag = null;
      drawing = drawing && Boolean(event.detail);
      draw();
    });
    draw();
  };
})();
