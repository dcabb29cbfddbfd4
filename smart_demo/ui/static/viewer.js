/**
 * @file Pages shown large: the viewer with "Where it matched" and "Find more like this", and two pages side by side.
 *
 * In this order: `Viewer`, the dialog with one page, which judge.js uses too; `PageViewer`, the one of Compare, with
 * `MatchedPlaces` and `RegionTool`; `PairView`, which needs none of them.
 *
 * Python makes every number and sentence and escapes the markup of facts and anatomy. Words and names of documents are
 * set as text.
 */
import { showPair } from "./addresses.js";
import { loadPicture, loadedPicture, shownPicture } from "./pictures.js";
import { AnswerCache, askedFields, closeOnBackdrop, make, placeBox, prefersCalm, stage } from "./tools.js";

const MAX_SCALE = 8;
const ZOOM_STEP = 1.4;
/** Pixels between the stage and a page that fits it, both sides together. */
const MARGIN = 40;
/** Height over width above which a page is tall, and width over height above which it is wide. */
const TALL = 3;
const WIDE = 4;
/** Times its own pixels that a tall or wide page has at most when it opens. */
const MAX_OPENING = 1.5;
const KEYS = {
  ArrowLeft: "previous",
  ArrowUp: "previous",
  ArrowRight: "next",
  ArrowDown: "next",
  "+": "in",
  "=": "in",
  "-": "out",
  0: "fit",
};
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Mark a page in both columns of `root`; an empty page removes the marks. */
export function markPage(root, page) {
  root.toggleAttribute("data-marking", Boolean(page));
  for (const node of root.querySelectorAll("[data-page]")) {
    node.classList.toggle("is-marked", node.dataset.page === page);
  }
}

// ---- the dialog with one page, zoom and pan ----

/** A dialog that steps through the pages of a list of cards. Subclasses say what stands beside the page. */
export class Viewer {
  cards = [];
  at = 0;
  server = null;
  /** Scale of the page; at 1 it fits the stage. */
  #scale = 1;
  /** Pixels from the middle of the stage to the middle of the page. */
  #x = 0;
  #y = 0;
  /** The outlined place of the page, as fractions of it, or null. */
  #spot = null;
  /** Whether the page was neither zoomed nor panned since it opened. */
  #asOpened = true;
  #pointers = new Map();
  /** Changes with every page, so that a picture which arrives late is dropped. */
  #turn = 0;

  constructor(previous, next) {
    const tool = (action, label, text) =>
      make("button", { type: "button", "data-do": action, "aria-label": label, title: label }, text);
    const rule = () => make("span", { class: "viewer-rule" });
    this.title = make("p", { class: "viewer-title" });
    this.level = make("output", { class: "viewer-level", "aria-label": "Zoom" });
    this.image = make("img", { class: "viewer-image", alt: "", draggable: "false" });
    this.note = make("p", { class: "viewer-note", role: "status" });
    this.stage = make("div", { class: "viewer-stage", tabindex: "0", role: "img" }, this.image, this.note);
    this.tools = make(
      "div",
      { class: "viewer-tools" },
      tool("previous", previous, "←"),
      tool("next", next, "→"),
      rule(),
      tool("out", "Zoom out", "−"),
      this.level,
      tool("in", "Zoom in", "+"),
      tool("fit", "Fit the page", "Fit"),
      rule(),
      tool("close", "Close", "✕"),
    );
    this.bar = make("div", { class: "viewer-bar" }, this.title, this.tools);
    this.body = make("div", { class: "viewer-body" }, this.stage);
    this.dialog = make("dialog", { class: "viewer", "aria-label": "Page" }, this.bar, this.body);
    stage().append(this.dialog);
    this.#listen();
  }

  /** Return a button of the bar. */
  tool(action) {
    return this.tools.querySelector(`[data-do="${action}"]`);
  }

  /** Open the viewer on one of the cards. */
  open(cards, card, server) {
    this.server = server;
    this.cards = cards;
    document.documentElement.classList.add("is-viewing");
    if (!this.dialog.open) this.dialog.showModal();
    this.show(cards.indexOf(card));
    this.stage.focus();
  }

  /** Show the page of a card by its place in the list; do nothing if there is no such place. */
  show(at) {
    const card = this.cards[at];
    if (!card) return;
    this.at = at;
    this.tool("previous").disabled = at === 0;
    this.tool("next").disabled = at === this.cards.length - 1;
    this.describe(card);
    this.#spot = null;
    this.#asOpened = true;
    this.#load(card);
    this.#openPage();
  }

  /** Show what is known of a card beside its page. */
  describe(_card) {}

  /** Called with the page in view, and with an empty string when the dialog closes. */
  announce(_page) {}

  /** Zoom so that the place (x, y), in pixels from the middle of the stage, stays where it is. */
  zoom(scale, x = 0, y = 0) {
    const next = clamp(scale, 1, this.#maxScale());
    const factor = next / this.#scale;
    this.#x = x - (x - this.#x) * factor;
    this.#y = y - (y - this.#y) * factor;
    this.#scale = next;
    this.#asOpened = false;
    this.#place();
  }

  /** Bring a place of the page into view, [left, top, right, bottom] in fractions of it; null forgets the last one. */
  reveal(spot) {
    this.#spot = spot;
    if (!spot) return;
    if (this.#asOpened) this.#openPage();
    else if (!this.#spotInView()) this.#panToSpot();
  }

  #act(action) {
    if (action === "close") this.dialog.close();
    if (action === "previous") this.show(this.at - 1);
    if (action === "next") this.show(this.at + 1);
    if (action === "in") this.#zoomBySpot(ZOOM_STEP);
    if (action === "out") this.#zoomBySpot(1 / ZOOM_STEP);
    if (action === "fit") this.zoom(1);
  }

  #listen() {
    this.dialog.addEventListener("click", (event) => {
      const action = event.target.closest("[data-do]")?.dataset.do;
      if (action) this.#act(action);
    });
    closeOnBackdrop(this.dialog);
    this.dialog.addEventListener("close", () => {
      document.documentElement.classList.remove("is-viewing");
      this.announce("");
      this.#turn += 1;
      const card = this.cards[this.at];
      if (card?.isConnected) card.focus();
    });
    this.dialog.addEventListener("keydown", (event) => {
      const action = KEYS[event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.#act(action);
    });
    this.stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.stage.addEventListener("dblclick", (event) => {
      this.zoom(this.#scale > 1 ? 1 : Math.max(2.5, this.#openingScale()), ...this.#fromMiddle(event));
    });
    const refit = () => (this.#asOpened ? this.#openPage() : this.#place());
    this.image.addEventListener("load", refit);
    new ResizeObserver(refit).observe(this.stage);
    this.#listenToPointers();
  }

  /** One pointer pans, two zoom. */
  #listenToPointers() {
    let scaleAtOne = 0;
    this.stage.addEventListener("pointerdown", (event) => {
      this.stage.setPointerCapture(event.pointerId);
      this.#pointers.set(event.pointerId, event);
      if (this.#pointers.size === 2) scaleAtOne = this.#spread() / this.#scale;
    });
    this.stage.addEventListener("pointermove", (event) => {
      const before = this.#pointers.get(event.pointerId);
      if (!before) return;
      this.#pointers.set(event.pointerId, event);
      if (this.#pointers.size === 2) {
        this.zoom(this.#spread() / scaleAtOne, ...this.#fromMiddle(event));
        return;
      }
      this.#x += event.clientX - before.clientX;
      this.#y += event.clientY - before.clientY;
      this.#asOpened = false;
      this.#place();
    });
    for (const end of ["pointerup", "pointercancel"]) {
      this.stage.addEventListener(end, (event) => this.#pointers.delete(event.pointerId));
    }
  }

  /** Return the largest scale: MAX_SCALE, or more for a narrow page, such as a receipt, up to twice its own pixels. */
  #maxScale() {
    return Math.max(MAX_SCALE, (2 * this.image.naturalWidth) / (this.#size()[0] || 1));
  }

  /** Return the scale at which the page opens: all of it is in view, or all of the short side if it is tall or wide. */
  #openingScale() {
    const [width, height] = this.#size();
    if (height <= TALL * width && width <= WIDE * height) return 1;
    const { clientWidth, clientHeight } = this.stage;
    const room = height > width ? (clientWidth - MARGIN) / width : (clientHeight - MARGIN) / height;
    // A thumbnail does not say how many pixels its page has.
    const own = this.#isCoarse() ? Infinity : (MAX_OPENING * this.image.naturalWidth) / width;
    return Math.max(1, Math.min(room, own));
  }

  /** Show the page as it opens: a tall or wide one at its outlined place, or else at its start. */
  #openPage() {
    this.#scale = this.#openingScale();
    this.#x = this.#y = Infinity;
    if (this.#spot) this.#panToSpot();
    else this.#place();
  }

  #panToSpot() {
    const [x, y] = this.#fromPageMiddle(this.#spot);
    this.#x = -x;
    this.#y = -y;
    this.#place();
  }

  /** Zoom around the outlined place if it is in view, or else around the middle. */
  #zoomBySpot(factor) {
    this.zoom(this.#scale * factor, ...(this.#spotInView() ?? []));
  }

  /** Return the middle of the outlined place, in pixels from the middle of the stage, or null if it is out of view. */
  #spotInView() {
    if (!this.#spot) return null;
    const [left, top] = this.#fromPageMiddle(this.#spot);
    const [x, y] = [this.#x + left, this.#y + top];
    return Math.abs(2 * x) <= this.stage.clientWidth && Math.abs(2 * y) <= this.stage.clientHeight ? [x, y] : null;
  }

  #fromPageMiddle([left, top, right, bottom]) {
    const [width, height] = this.#size();
    return [((left + right - 1) / 2) * width * this.#scale, ((top + bottom - 1) / 2) * height * this.#scale];
  }

  #isCoarse() {
    return this.image.classList.contains("is-coarse");
  }

  /** Return the page's width and height at scale 1. Only a thumbnail is enlarged to fit. */
  #size() {
    const { naturalWidth: width, naturalHeight: height } = this.image;
    if (!width || !height) return [0, 0];
    const wide = Math.max(1, this.stage.clientWidth - MARGIN) / width;
    const high = Math.max(1, this.stage.clientHeight - MARGIN) / height;
    const fit = Math.min(wide, high, this.#isCoarse() ? Infinity : 1);
    return [width * fit, height * fit];
  }

  #wheel(event) {
    event.preventDefault();
    const speed = event.ctrlKey ? 0.01 : 0.0022;
    this.zoom(this.#scale * Math.exp(-event.deltaY * speed), ...this.#fromMiddle(event));
  }

  /** Return the distance of the two pointers. */
  #spread() {
    const [a, b] = [...this.#pointers.values()];
    return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  }

  #fromMiddle(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
  }

  /** Size and move the page and its layers. They are not scaled by a transform, which would scale lines as well. */
  #place() {
    const [width, height] = this.#size().map((side) => side * this.#scale);
    const wide = Math.max(0, (width - this.stage.clientWidth) / 2);
    const high = Math.max(0, (height - this.stage.clientHeight) / 2);
    this.#x = clamp(this.#x, -wide, wide);
    this.#y = clamp(this.#y, -high, high);
    const lengths = { "--page-width": width, "--page-height": height, "--page-x": this.#x, "--page-y": this.#y };
    for (const [name, length] of Object.entries(lengths)) this.stage.style.setProperty(name, `${length}px`);
    this.level.textContent = `${Math.round(this.#scale * 100)} %`;
    this.stage.classList.toggle("is-zoomed", this.#scale > 1);
  }

  /** Show the card's thumbnail until the page's picture has arrived. */
  async #load(card) {
    const turn = ++this.#turn;
    const { page } = card.dataset;
    const thumb = shownPicture(card.querySelector("img.thumb"));
    const stored = loadedPicture(page);
    this.note.textContent = "";
    this.image.classList.toggle("is-coarse", !stored);
    this.image.hidden = !stored && !thumb;
    this.image.src = stored ?? thumb;
    if (stored) return;
    const answer = await loadPicture(this.server, page);
    if (turn !== this.#turn) return;
    this.image.classList.remove("is-coarse");
    if (answer.picture) {
      this.image.src = answer.picture;
      this.image.hidden = false;
    } else {
      this.note.textContent = answer.sentence;
    }
  }
}

// ---- the viewer of Compare ----

class PageViewer extends Viewer {
  root = null;
  trigger = null;

  constructor() {
    super("Previous page of this column", "Next page of this column");
    this.side = make("aside", { class: "viewer-side", "aria-label": "Facts of this page" });
    this.body.append(this.side);
    this.words = new PageText(this);
    this.matches = new MatchedPlaces(this);
    this.region = new RegionTool(this);
  }

  describe(card) {
    const column = document.querySelector(`#head-${card.dataset.side}`)?.textContent ?? "Page";
    this.title.textContent = `${column} · ${this.at + 1} of ${this.cards.length}`;
    this.dialog.dataset.side = card.dataset.side;
    const facts = card.nextElementSibling?.firstElementChild;
    this.side.replaceChildren(...(facts ? [facts.cloneNode(true)] : []), this.words.panel);
    this.side.scrollTop = 0;
    this.words.show(card.dataset.page);
    this.stage.setAttribute("aria-label", this.side.querySelector(".facts-name")?.textContent ?? "Page");
    markPage(this.root, card.dataset.page);
    this.announce(card.dataset.page);
  }

  show(at) {
    super.show(at);
    if (this.cards[at]) this.matches.show(this.cards[at]);
  }

  /** Tell the address, the region tool and the pair view. */
  announce(page) {
    document.dispatchEvent(new CustomEvent("viewing", { detail: page }));
  }
}

/** The words of the page as they were read, in a panel that stays open or closed from page to page. */
class PageText {
  #viewer;
  #answers = new AnswerCache(48).forgetOnAnswer();
  #page = "";

  constructor(viewer) {
    this.#viewer = viewer;
    this.how = make("p", { class: "page-text-how", role: "status" });
    this.text = make("p", { class: "page-text", dir: "auto", tabindex: "0", "aria-label": "Words of this page" });
    const summary = make("summary", {}, "Words of this page");
    this.panel = make("details", { class: "page-text-panel" }, summary, this.how, this.text);
    this.panel.addEventListener("toggle", () => this.show(this.#page));
    // The arrow keys scroll the text here, and turn pages everywhere else.
    this.text.addEventListener("keydown", (event) => event.key.startsWith("Arrow") && event.stopPropagation());
  }

  /** Show the words of a page if the panel is open. */
  async show(page) {
    this.#page = page;
    this.how.textContent = "";
    this.text.textContent = "";
    this.text.hidden = true;
    if (!page || !this.panel.open) return;
    const answer = await this.#answers.recall(page, () => this.#viewer.server.words({ page }));
    if (page !== this.#page) return;
    this.how.textContent = answer.sentence ?? answer.how;
    this.text.textContent = answer.text ?? "";
    this.text.hidden = !answer.text;
  }
}

let pageViewer;

/** Open the viewer on a card of the results. `trigger` searches for a part of the page. */
export function openPage(root, card, server, trigger) {
  pageViewer ??= new PageViewer();
  pageViewer.root = root;
  pageViewer.trigger = trigger;
  const column = [...root.querySelectorAll(`.card[data-side="${card.dataset.side}"]`)];
  pageViewer.open(column, card, server);
}

// ---- where it matched ----

const MAPS = [
  ["query", "Whole query", "The best similarity of each place to any part of the query"],
  ["winners", "Winner map", "What each place adds to the late part of the score"],
];
const CHOOSE = "Choose a word to see where this page is most similar to it. Its number is what it adds to the score.";

/** One chip for each word of the query, a heat map over the page and its legend, and the anatomy of the score. */
class MatchedPlaces {
  #viewer;
  #answers = new AnswerCache(48).forgetOnAnswer();
  /** Fields of the search whose page is shown, as JSON. */
  #asked = "";
  #page = "";
  /** Name of the page, for the stage's label. */
  #name = "";
  /** The chosen map: of a word, or one of MAPS. */
  #chosen = "";
  /** What the legend says if no map is chosen; empty until the words of the query are known. */
  #hint = "";
  #expanded = false;
  #turn = 0;

  constructor(viewer) {
    this.#viewer = viewer;
    this.chips = make("div", { class: "why-chips", role: "group", "aria-label": "Where it matched" });
    this.caption = make("span", { class: "why-caption" });
    this.low = make("span");
    this.high = make("span");
    this.ramp = make("i");
    this.scale = make("span", { class: "why-scale" }, this.low, this.ramp, this.high);
    this.note = make("span", { class: "why-note" });
    const legend = make("p", { class: "why-legend", role: "status" }, this.scale, this.caption, this.note);
    this.row = make("div", { class: "why" }, this.chips, legend);
    // The map is multiplied with the page, so the print under it stays dark. A faint copy shows it on dark pages.
    this.map = make("img", { class: "viewer-layer why-map", alt: "", draggable: "false" });
    this.copy = make("img", { class: "viewer-layer why-copy", alt: "", draggable: "false" });
    this.outline = make("span", { class: "why-outline" });
    this.frame = make("div", { class: "viewer-layer why-frame" }, this.outline);
    viewer.bar.after(this.row);
    viewer.image.after(this.map, this.copy, this.frame);
    this.chips.addEventListener("click", (event) => {
      const view = event.target.closest("[data-view]")?.dataset.view;
      if (view) this.#choose(view === this.#chosen ? "" : view);
    });
  }

  /** Show the page of a card. */
  async show(card) {
    const before = this.#asked;
    this.#asked = askedFields();
    this.#page = card.dataset.page;
    this.#name = this.#viewer.stage.getAttribute("aria-label");
    this.row.hidden = !this.#asked;
    this.#clear();
    if (!this.#asked) return;
    if (before && queryOf(before) !== queryOf(this.#asked)) this.#forgetQuery();
    const page = this.#page;
    const drawn = this.#draw();
    const answer = await this.#ask("explain", "");
    if (page !== this.#page) return;
    if (answer.sentence) {
      this.chips.replaceChildren();
      this.#chosen = "";
      await drawn;
      this.#showMessage(answer.sentence);
      return;
    }
    this.#showChips(answer.chips, answer.left_out);
    this.#hint = answer.no_words || CHOOSE;
    if (!this.#chosen) this.#showMessage(this.#hint);
    this.#viewer.side.querySelector(".facts")?.insertAdjacentHTML("afterend", answer.anatomy);
  }

  #forgetQuery() {
    if (this.#chosen.startsWith("term-")) this.#chosen = "";
    this.#expanded = false;
    this.#hint = "";
    this.chips.replaceChildren();
  }

  #ask(what, view) {
    const question = { asked: JSON.parse(this.#asked), page: this.#page, view };
    const key = [what, view, this.#page, this.#asked].join(" ");
    return this.#answers.recall(key, () => this.#viewer.server[what](question));
  }

  #choose(view) {
    this.#chosen = view;
    this.#draw();
  }

  async #draw() {
    const turn = ++this.#turn;
    this.#markChosen();
    if (!this.#chosen) {
      this.#clear();
      this.#showMessage(this.#hint);
      return;
    }
    const answer = await this.#ask("overlay", this.#chosen);
    if (turn !== this.#turn) return;
    this.#clear();
    if (answer.sentence) this.#showMessage(answer.sentence);
    else this.#showMap(answer);
  }

  #showMap(answer) {
    const best = answer.best ? `, at best ${answer.best} on the page` : "";
    this.caption.textContent = answer.caption + best;
    this.note.textContent = answer.note;
    this.low.textContent = answer.low;
    this.high.textContent = answer.high;
    this.ramp.style.background = answer.bar;
    this.scale.hidden = !answer.picture;
    this.#showLayers(answer.picture, answer.alt);
    this.#viewer.stage.setAttribute("aria-label", `${this.#name}. ${answer.alt}`);
    this.outline.hidden = !answer.outline;
    this.outline.classList.toggle("is-closest", !answer.won);
    placeBox(this.outline, answer.outline ?? [0, 0, 0, 0]);
    this.#viewer.reveal(answer.outline);
  }

  #showLayers(source, alt) {
    for (const layer of [this.map, this.copy, this.frame]) layer.hidden = !source;
    for (const layer of [this.map, this.copy]) {
      if (source) layer.setAttribute("src", source);
      else layer.removeAttribute("src");
    }
    this.map.alt = alt;
  }

  #showMessage(text) {
    this.caption.textContent = "";
    this.scale.hidden = true;
    this.note.textContent = text;
  }

  #clear() {
    this.#showLayers("", "");
    this.#viewer.reveal(null);
    this.#viewer.stage.setAttribute("aria-label", this.#name);
  }

  #markChosen() {
    for (const chip of this.chips.querySelectorAll("[data-view]")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.view === this.#chosen));
    }
    const reset = this.chips.querySelector(".why-reset");
    if (reset) reset.hidden = !this.#chosen;
  }

  #showChips(words, missing) {
    const { activeElement } = document;
    const focused = this.chips.contains(activeElement) ? activeElement.dataset.view : null;
    const shown = words.filter((word) => this.#expanded || !word.more || word.view === this.#chosen);
    const hidden = words.filter((word) => word.more).length;
    const nodes = [...MAPS.map(mapChip), make("span", { class: "viewer-rule" }), ...shown.map(wordChip)];
    if (this.#expanded && missing) nodes.push(make("span", { class: "why-missing" }, `and ${missing} more`));
    if (hidden) nodes.push(this.#expandButton(hidden, words, missing));
    this.chips.replaceChildren(...nodes, this.#resetButton());
    this.#markChosen();
    if (focused) [...this.chips.children].find((node) => node.dataset.view === focused)?.focus();
  }

  #expandButton(hidden, words, missing) {
    const label = this.#expanded ? "Fewer" : `Show all (${hidden} more)`;
    const attributes = { type: "button", class: "why-all", "aria-expanded": String(this.#expanded) };
    const button = make("button", attributes, label);
    button.addEventListener("click", () => {
      this.#expanded = !this.#expanded;
      this.#showChips(words, missing);
      this.chips.querySelector(".why-all").focus();
    });
    return button;
  }

  #resetButton() {
    const button = make("button", { type: "button", class: "why-reset" }, "Reset");
    button.addEventListener("click", () => {
      this.#choose("");
      this.chips.querySelector("[data-view]").focus();
    });
    return button;
  }
}

/** Return what a search looks for; weights and scope do not change its words. */
function queryOf(fields) {
  const { text, picture } = JSON.parse(fields);
  return `${picture} ${text}`;
}

function makeChip(view, label, attributes, ...more) {
  const fixed = { type: "button", class: "why-chip", "data-view": view, "aria-pressed": "false" };
  return make("button", { ...fixed, ...attributes }, make("bdi", {}, label), ...more);
}

function mapChip([view, label, title]) {
  const chip = makeChip(view, label, { title });
  chip.classList.add("is-map");
  return chip;
}

function wordChip(word) {
  const said = `${word.label}: adds ${word.adds} to the score, similarity ${word.similarity}`;
  const adds = make("span", { class: "why-adds" }, word.adds);
  const chip = makeChip(word.view, word.label, { title: said, "aria-label": said }, adds);
  chip.classList.toggle("is-more", word.more);
  chip.style.setProperty("--fill", word.fill);
  return chip;
}

// ---- find more like this ----

const WHOLE_PAGE = [0, 0, 1, 1];
/** Side in pixels below which a drawn rectangle is taken for a tap. */
const MIN_SIDE = 8;
const DRAW_HINT = "Drag over a part of the page.";
/** The sides that each corner moves, as indices into left, top, right, bottom. */
const CORNERS = { nw: [0, 1], ne: [2, 1], se: [2, 3], sw: [0, 3] };

/**
 * Searches with a rectangle drawn on the page, by mouse, touch or pen, or with the whole page. The rectangle is stored
 * in fractions of the page, so it stays in place when the page is panned or zoomed.
 */
class RegionTool {
  #viewer;
  #drawing = false;
  #box = null;
  /** The drag in progress: its kind, where it began, its pointer and the box before it. */
  #drag = null;

  constructor(viewer) {
    this.#viewer = viewer;
    this.tool = make(
      "button",
      {
        type: "button",
        class: "region-tool",
        "aria-pressed": "false",
        "aria-label": "Find more like this",
        title: "Draw on the page to search for similar pages",
      },
      make("span", { class: "region-icon", "aria-hidden": "true" }),
      make("span", { class: "region-label" }, "Find more like this"),
    );
    const grips = Object.keys(CORNERS).map((corner) =>
      make("i", { class: `region-grip is-${corner}`, "data-corner": corner }),
    );
    this.mark = make("div", { class: "region-box" }, ...grips);
    this.frame = make("div", { class: "viewer-layer region-frame" }, this.mark);
    this.sheet = make("div", { class: "region-sheet" });
    this.hint = make("p", { class: "region-hint", role: "status" });
    this.part = make("button", { type: "button", class: "region-go" }, "Search this part");
    this.whole = make("button", { type: "button" }, "Search the whole page");
    this.bar = make(
      "div",
      { class: "region-bar", role: "group", "aria-label": "Find more like this" },
      this.hint,
      this.part,
      this.whole,
    );
    viewer.tool("close").before(this.tool);
    viewer.stage.append(this.sheet, this.frame, this.bar);
    this.#listen();
    this.#update();
  }

  #listen() {
    for (const layer of [this.sheet, this.mark]) {
      layer.addEventListener("pointerdown", (event) => this.#begin(event, layer));
      layer.addEventListener("pointermove", (event) => this.#move(event));
      layer.addEventListener("pointerup", (event) => this.#end(event));
      layer.addEventListener("pointercancel", (event) => this.#end(event));
      layer.addEventListener("dblclick", (event) => event.stopPropagation());
    }
    for (const name of ["pointerdown", "pointermove", "dblclick"]) {
      this.bar.addEventListener(name, (event) => event.stopPropagation());
    }
    this.tool.addEventListener("click", () => this.#toggle(!this.#drawing));
    this.part.addEventListener("click", () => this.#box && this.#search(this.#box));
    this.whole.addEventListener("click", () => this.#search(WHOLE_PAGE));
    this.#viewer.dialog.addEventListener("keydown", (event) => event.key === "Escape" && this.#escape(event), true);
    this.#viewer.dialog.addEventListener("cancel", (event) => this.#escape(event));
    // The box belongs to the page it was drawn on, so discard it when another page is shown or the viewer closes.
    document.addEventListener("viewing", (event) => {
      this.#box = this.#drag = null;
      this.#drawing = this.#drawing && Boolean(event.detail);
      this.#update();
    });
  }

  /** The first Escape ends drawing, the second closes the viewer. */
  #escape(event) {
    if (!this.#drawing) return;
    event.preventDefault();
    event.stopPropagation();
    this.#toggle(false);
  }

  #update() {
    for (const node of [this.sheet, this.frame, this.bar]) node.hidden = !this.#drawing;
    this.mark.hidden = !this.#box;
    this.part.disabled = !this.#box;
    const text = this.#box ? "" : DRAW_HINT;
    if (this.hint.textContent !== text) this.hint.textContent = text;
    this.tool.setAttribute("aria-pressed", String(this.#drawing));
    this.#viewer.stage.classList.toggle("is-drawing", this.#drawing);
    if (this.#box) placeBox(this.mark, this.#box);
  }

  #toggle(on) {
    if (on === this.#drawing) return;
    this.#drawing = on;
    this.#box = this.#drag = null;
    this.#update();
    (on ? this.whole : this.tool).focus({ preventScroll: true });
  }

  #search(box) {
    const { cards, at, dialog, trigger } = this.#viewer;
    this.#toggle(false);
    dialog.close();
    trigger("select", { page: cards[at].dataset.page, box });
    const behavior = prefersCalm() ? "auto" : "smooth";
    document.getElementById("ask")?.scrollIntoView({ behavior, block: "center" });
  }

  #begin(event, layer) {
    event.stopPropagation();
    const { image } = this.#viewer;
    if (event.button || this.#drag || image.hidden || image.classList.contains("is-coarse")) return;
    event.preventDefault();
    this.#drag = { ...this.#startDrag(event), id: event.pointerId, before: this.#box };
    layer.setPointerCapture(event.pointerId);
  }

  /** Dragging a corner draws the box again from the opposite corner. */
  #startDrag(event) {
    const corner = event.target.closest?.("[data-corner]")?.dataset.corner;
    if (corner) {
      const [x, y] = CORNERS[corner];
      return { kind: "shape", from: [this.#box[(x + 2) % 4], this.#box[(y + 2) % 4]] };
    }
    return { kind: event.target === this.mark ? "move" : "draw", from: this.#placeOf(event), box: this.#box };
  }

  #move(event) {
    event.stopPropagation();
    if (this.#drag?.id !== event.pointerId) return;
    this.#box = this.#newBox(this.#placeOf(event));
    this.#update();
  }

  #end(event) {
    event.stopPropagation();
    if (this.#drag?.id !== event.pointerId) return;
    if (event.type === "pointercancel") this.#box = this.#drag.before;
    else if (this.#wasTap()) this.#box = null;
    this.#drag = null;
    this.#update();
  }

  /** Return whether the drag was too short for a rectangle; it then removes the box. */
  #wasTap() {
    if (!this.#box) return false;
    const { width, height } = this.#viewer.image.getBoundingClientRect();
    const [left, top, right, bottom] = this.#box;
    if (Math.min((right - left) * width, (bottom - top) * height) < MIN_SIDE) return true;
    return this.#drag.kind === "draw" && this.#box === this.#drag.before;
  }

  /** Return the place of a pointer in fractions of the page. */
  #placeOf(event) {
    const { left, top, width, height } = this.#viewer.image.getBoundingClientRect();
    return [clamp((event.clientX - left) / width, 0, 1), clamp((event.clientY - top) / height, 0, 1)];
  }

  #newBox([x, y]) {
    const [fromX, fromY] = this.#drag.from;
    if (this.#drag.kind !== "move") {
      return [Math.min(x, fromX), Math.min(y, fromY), Math.max(x, fromX), Math.max(y, fromY)];
    }
    const [left, top, right, bottom] = this.#drag.box;
    const dx = clamp(x - fromX, -left, 1 - right);
    const dy = clamp(y - fromY, -top, 1 - bottom);
    return [left + dx, top + dy, right + dx, bottom + dy];
  }
}

// ---- why one page passed another ----

const SIDES = ["X", "Y"];
const PRESS_A_WORD =
  "Press a word to outline where it matched best on both pages. This shows similarity, not a reason.";
/** Height in pixels that the outlined place gets in the strip below its page. */
const DETAIL_HEIGHT = 30;
const MAX_DETAIL_WIDTH = 1500;

/** One of the two pages: a choice of pages, its ranks, the page with an outline, and the outlined place enlarged. */
class PairSide {
  #load;
  #shown = "";
  #box = null;
  /** Height of the page over its width; the thumbnail of a tall page shows only a part. */
  #ratio = 1;
  #name = "";

  /** `load` returns a page's picture; `onChoose` is called with the side when another page is chosen. */
  constructor(side, load, onChoose) {
    this.#load = load;
    this.select = make("select", { class: "pair-select", "aria-label": `Page ${side}` });
    this.ranks = make("p", { class: "pair-ranks" });
    this.image = make("img", { class: "pair-image", alt: "", draggable: "false" });
    this.outline = make("span", { class: "pair-outline", hidden: "" });
    this.paper = make("div", { class: "pair-paper", role: "img" }, this.image, this.outline);
    this.close = make("img", { alt: "", draggable: "false" });
    this.ring = make("span", { class: "pair-outline" });
    this.detail = make("div", { class: "pair-detail", "aria-hidden": "true", hidden: "" }, this.close, this.ring);
    this.place = make("p", { class: "pair-place", role: "status" });
    const tag = make("span", { class: "pair-tag", "aria-hidden": "true" }, side);
    const head = make("div", { class: "pair-head" }, tag, this.select);
    const paperStage = make("div", { class: "pair-stage" }, this.paper);
    this.figure = make("figure", { class: "pair-page" }, head, this.ranks, paperStage, this.detail, this.place);
    this.select.addEventListener("change", () => onChoose(side));
  }

  /** Show a page. `isCurrent` returns whether the answer that names it is still the one on the screen. */
  async show(page, choices, isCurrent) {
    this.select.replaceChildren(...choices.map(({ key, label }) => make("option", { value: key }, label)));
    this.select.value = page.key;
    const [left, right] = page.ranks.map(([label, rank], at) => [
      `${label} `,
      make("b", { class: ["of-left", "of-right"][at] }, rank),
    ]);
    this.ranks.replaceChildren(...left, " · ", ...right);
    this.#name = `${page.name}, ${page.where}`;
    this.paper.setAttribute("aria-label", this.#name);
    this.image.width = page.width;
    this.image.height = page.height;
    this.#ratio = Math.max(page.height, 1) / Math.max(page.width, 1);
    this.image.style.aspectRatio = 1 / this.#ratio;
    if (this.#shown === page.key) return;
    this.#shown = page.key;
    this.#showThumbnail(page.key);
    const reply = await this.#load(page.key);
    if (this.#shown !== page.key) return;
    if (reply.picture) {
      this.image.src = this.close.src = reply.picture;
    } else {
      this.#shown = "";
      if (isCurrent()) this.place.textContent = reply.sentence;
    }
    this.image.classList.toggle("is-coarse", !reply.picture);
  }

  #showThumbnail(page) {
    const card = [...document.querySelectorAll(".card")].find((one) => one.dataset.page === page);
    const thumb = shownPicture(card?.querySelector("img.thumb"));
    for (const image of [this.image, this.close]) {
      if (thumb) image.src = thumb;
      else image.removeAttribute("src");
    }
    this.image.classList.add("is-coarse");
  }

  /** Outline where a word matched best, or nothing. */
  showSpot(label, spot) {
    this.place.textContent = spot?.said ?? "";
    this.paper.setAttribute("aria-label", spot ? `${this.#name}. ${label}: ${spot.said}` : this.#name);
    this.#outlineSpot(spot);
  }

  clear() {
    this.place.textContent = "";
    this.#outlineSpot(null);
  }

  #outlineSpot(spot) {
    this.#box = spot?.box ?? null;
    this.outline.hidden = this.detail.hidden = !this.#box;
    for (const ring of [this.outline, this.ring]) ring.classList.toggle("is-closest", Boolean(spot) && !spot.won);
    if (!this.#box) return;
    placeBox(this.outline, this.#box);
    this.magnify();
  }

  /** Show the outlined place again, large enough to read, in a strip below the page. */
  magnify() {
    const { clientWidth: wide, clientHeight: high } = this.detail;
    if (!this.#box || !wide) return;
    const [left, top, right, bottom] = this.#box;
    const ratio = this.#ratio;
    const readable = DETAIL_HEIGHT / ((bottom - top) * ratio);
    const width = Math.min(Math.max(readable, wide), Math.max(wide, MAX_DETAIL_WIDTH));
    const height = width * ratio;
    const centre = (at, room, size) => Math.min(0, Math.max(room - size, room / 2 - at * size));
    const x = centre((left + right) / 2, wide, width);
    const y = centre((top + bottom) / 2, high, height);
    const put = (node, box) =>
      ["left", "top", "width", "height"].forEach((name, at) => node.style.setProperty(name, `${box[at]}px`));
    put(this.close, [x, y, width, height]);
    put(this.ring, [x + left * width, y + top * height, (right - left) * width, (bottom - top) * height]);
  }
}

/** The dialog with two pages side by side, what each word adds on both, and where it matched. */
class PairView {
  server = null;
  #answers = new AnswerCache(24).forgetOnAnswer();
  #asked = "";
  #answer = null;
  /** Id of the chosen word. */
  #chosen = "";
  #expanded = false;
  #turn = 0;
  #opener = null;

  constructor() {
    const load = (page) => loadPicture(this.server, page);
    this.title = make("h2", { class: "pair-title", id: "pair-title" });
    this.sides = SIDES.map((side) => new PairSide(side, load, (chosen) => this.#choosePage(chosen)));
    this.said = make("p", { class: "pair-said", role: "status" });
    this.swap = make("p", { class: "pair-swap" });
    this.note = make("p", { class: "pair-note" }, PRESS_A_WORD);
    this.table = make("table", { class: "pair-table" });
    const close = make("button", { type: "button", class: "pair-close", "aria-label": "Close", title: "Close" }, "✕");
    const sums = make(
      "div",
      { class: "pair-sums", tabindex: "0", role: "region", "aria-label": "What each word adds" },
      this.said,
      this.swap,
      this.table,
      this.note,
    );
    const pages = make("div", { class: "pair-pages" }, ...this.sides.map((side) => side.figure));
    this.dialog = make(
      "dialog",
      { class: "pair", "aria-labelledby": "pair-title" },
      make("div", { class: "pair-bar" }, this.title, close),
      make("div", { class: "pair-body" }, pages, sums),
    );
    stage().append(this.dialog);
    close.addEventListener("click", () => this.dialog.close());
    this.#listen();
  }

  #listen() {
    closeOnBackdrop(this.dialog);
    this.dialog.addEventListener("close", () => {
      this.#turn += 1;
      showPair("");
      if (!document.querySelector("dialog.viewer[open]")) document.documentElement.classList.remove("is-viewing");
      // Browsers return the focus by themselves if the opener had it. Do not take it from another element.
      if (this.#opener?.isConnected && document.activeElement === document.body) this.#opener.focus();
    });
    this.table.addEventListener("click", (event) => {
      const button = event.target.closest("tr")?.querySelector("button");
      if (button?.matches(".pair-word")) this.#chooseWord(button.dataset.word);
      else if (button) this.#toggleFolded();
    });
    this.table.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const buttons = [...this.table.querySelectorAll("button")];
      const next = buttons[buttons.indexOf(document.activeElement) + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
    new ResizeObserver(() => this.sides.forEach((side) => side.magnify())).observe(this.dialog);
  }

  /** Open the dialog on a page and the one that it passed, or that passed it. `opener` gets the focus back. */
  open(page, opener) {
    this.#asked = askedFields();
    this.#opener = opener;
    this.#chosen = "";
    this.#expanded = false;
    this.#clear("");
    document.documentElement.classList.add("is-viewing");
    if (!this.dialog.open) this.dialog.showModal();
    showPair(page);
    this.#load(page, "");
  }

  async #load(page, other) {
    const turn = ++this.#turn;
    this.dialog.setAttribute("aria-busy", "true");
    const key = [page, other, this.#asked].join(" ");
    const question = { asked: JSON.parse(this.#asked), page, other };
    const answer = await this.#answers.recall(key, () => this.server.pair(question));
    if (turn !== this.#turn) return;
    this.dialog.removeAttribute("aria-busy");
    if (answer.sentence) {
      this.#clear(answer.sentence);
      return;
    }
    this.#show(answer, turn);
    const chosen = this.table.querySelector('[aria-pressed="true"]');
    if (!other && this.dialog.contains(document.activeElement)) chosen?.focus({ preventScroll: true });
  }

  #show(answer, turn) {
    this.#answer = answer;
    this.title.textContent = answer.title;
    this.said.replaceChildren(
      ...answer.said.map((piece) => ("word" in piece ? make("bdi", {}, `“${piece.word}”`) : piece.text)),
    );
    this.swap.textContent = answer.swap;
    const isCurrent = () => turn === this.#turn;
    this.sides.forEach((side, at) => side.show(answer.pages[at], answer.choices, isCurrent));
    const words = [...answer.lines, ...answer.folded].filter((line) => line.id);
    if (!words.some((line) => line.id === this.#chosen)) this.#chosen = words[0]?.id ?? "";
    if (answer.folded.some((line) => line.id && line.id === this.#chosen)) this.#expanded = true;
    this.#drawTable();
  }

  #clear(sentence) {
    this.#answer = null;
    this.title.textContent = "Why?";
    this.said.textContent = sentence;
    this.swap.textContent = "";
    this.note.hidden = true;
    this.table.replaceChildren();
    for (const side of this.sides) side.clear();
  }

  /** Choosing the page of the other side swaps the two. */
  #choosePage(side) {
    const [x, y] = this.sides.map((one) => one.select.value);
    if (x !== y) {
      this.#load(x, y);
      return;
    }
    if (!this.#answer) return;
    const [beforeX, beforeY] = this.#answer.pages.map((page) => page.key);
    if (side === "X") this.#load(x, beforeX);
    else this.#load(beforeY, y);
  }

  #toggleFolded() {
    this.#expanded = !this.#expanded;
    this.#drawTable();
    this.table.querySelector(".pair-more")?.focus();
  }

  #drawTable() {
    const { activeElement } = document;
    const focused = this.table.contains(activeElement) ? activeElement.dataset.word : null;
    const { lines, fold, folded, total } = this.#answer;
    const rows = lines.map((line) => this.#row(line));
    if (fold) rows.push(this.#row(fold));
    if (fold && this.#expanded) rows.push(...folded.map((line) => this.#row(line, true)));
    const caption = make("caption", {}, "What each part adds to the score");
    const foot = make("tfoot", {}, this.#row(total));
    this.table.replaceChildren(caption, pairTableHead(), make("tbody", {}, ...rows), foot);
    this.note.hidden = !this.#chosen;
    const words = [...this.table.querySelectorAll(".pair-word")];
    if (focused) words.find((button) => button.dataset.word === focused)?.focus();
    this.#chooseWord(this.#chosen);
  }

  #row(line, folded = false) {
    const row = make("tr", { class: `is-${line.kind}` }, make("th", { scope: "row" }, this.#name(line, folded)));
    row.append(...["first", "second", "difference"].map((part) => make("td", { class: `pair-${part}` }, line[part])));
    const bar = make("i", { style: `--from: ${Math.min(line.bar, 0)}; --long: ${Math.abs(line.bar)}` });
    row.append(make("td", { class: "pair-lean", "aria-hidden": "true" }, ...(line.kind === "total" ? [] : [bar])));
    row.classList.toggle("is-folded", folded);
    row.classList.toggle("is-pressed", Boolean(line.id) && line.id === this.#chosen);
    return row;
  }

  /** Return a row's name: a button if it is a word or unfolds other rows. */
  #name(line, folded) {
    if (line.id) {
      const pressed = String(line.id === this.#chosen);
      const attributes = { type: "button", class: "pair-word", "data-word": line.id, "aria-pressed": pressed };
      return make("button", attributes, make("bdi", {}, line.label));
    }
    if (line.kind !== "several" || folded) return make("span", {}, line.label);
    const attributes = { type: "button", class: "pair-more", "aria-expanded": String(this.#expanded) };
    return make("button", attributes, line.label);
  }

  #chooseWord(word) {
    this.#chosen = word;
    for (const button of this.table.querySelectorAll(".pair-word")) {
      const pressed = button.dataset.word === word;
      button.setAttribute("aria-pressed", String(pressed));
      button.closest("tr").classList.toggle("is-pressed", pressed);
    }
    const line = [...this.#answer.lines, ...this.#answer.folded].find((one) => one.id === word);
    this.sides.forEach((side, at) => side.showSpot(line?.label, line?.spots[at]));
  }
}

function pairTableHead() {
  const heads = ["", "on X", "on Y", "X − Y"].map((text) => (text ? make("th", { scope: "col" }, text) : make("td")));
  const ends = [make("span", {}, "← Y"), make("span", {}, "X →")];
  const lean = make("td", { class: "pair-lean", "aria-hidden": "true" }, ...ends);
  return make("thead", {}, make("tr", {}, ...heads, lean));
}

let pairView;

/** Offer the pair view of a mounted list of results, from its moved cards and from the viewer. */
export function offerPairs(element, server) {
  const open = (page, opener) => {
    if (!askedFields()) return;
    pairView ??= new PairView();
    pairView.server = server;
    pairView.open(page, opener);
  };
  element.addEventListener("click", (event) => {
    const why = event.target.closest?.("[data-why]");
    if (why) open(why.dataset.why, why);
  });
  document.addEventListener("viewing", (event) => {
    const ranks = document.querySelector("dialog.viewer .facts-ranks");
    const page = event.detail;
    if (!element.isConnected || !page || !ranks || !askedFields()) return;
    const button = make("button", { type: "button", class: "pair-open" }, "Compare with another page…");
    button.addEventListener("click", () => open(page, button));
    ranks.after(button);
  });
  return open;
}
