/**
 * @file The evidence on the cards: the crop of each page, and its winner map over the page's picture on hover or focus.
 *
 * Crops are requested after the ranking is on the screen. Python makes and escapes their markup.
 */
import { AnswerCache, answerOf, askedFields, make } from "./tools.js";

/** A visitor's own pictures can be fetched for at least this long after their crop was requested. */
const FRESH_MS = 240_000;
/** Time that a pointer rests on a card before its map is requested: a pointer that only passes requests none. */
const REST_MS = 120;
/** Long side over short side from which a thumbnail shows only the start of its page. */
const LONG_THUMBNAIL = 3.95;

/** Hook of the results: fill the evidence of all cards, now and after each answer, and show maps on hover and focus. */
export function offerEvidence(element, server) {
  const evidence = new Evidence(element, server);
  const maps = new CardMaps(element, server);
  document.addEventListener("answered", () => {
    maps.leave();
    if (element.isConnected) evidence.update();
  });
  evidence.update();
}

// ---- crops ----

/** What decides the crops of an answer. The weights do not, so ranking again requests no crop again. */
function cropsDependOn(asked) {
  const { text, picture, scope, counted } = JSON.parse(asked);
  return JSON.stringify([text, picture, scope, counted]);
}

class Evidence {
  #element;
  #server;
  /** The fields of the last answer, as JSON. */
  #asked = "";
  /** What decides the stored crops. */
  #query = "";
  /** Markup and time of arrival by page. */
  #crops = new Map();
  /** Pages whose crops were requested and have not arrived. */
  #pending = new Set();

  constructor(element, server) {
    this.#element = element;
    this.#server = server;
  }

  /** Fill the cards of the answer on the screen, from memory or from the server. */
  update() {
    const asked = askedFields();
    if (!asked) return;
    const query = cropsDependOn(asked);
    // The same answer comes again if documents or the model have changed.
    if (query !== this.#query || asked === this.#asked) {
      this.#crops = new Map();
      this.#pending = new Set();
    }
    this.#asked = asked;
    this.#query = query;
    this.#fill();
    const isNeeded = (page) => !this.#isFresh(page) && !this.#pending.has(page);
    const pages = [...new Set(this.#slots().map((slot) => slot.dataset.page))].filter(isNeeded);
    if (!pages.length) return;
    for (const page of pages) this.#pending.add(page);
    // After the frame that shows the ranking.
    requestAnimationFrame(() => setTimeout(() => this.#request(asked, pages)));
  }

  #slots = () => [...this.#element.querySelectorAll(".evidence[data-page]")];

  #isFresh = (page) => performance.now() - (this.#crops.get(page)?.time ?? -Infinity) < FRESH_MS;

  async #request(asked, pages) {
    const [crops, pending] = [this.#crops, this.#pending];
    if (this.#isStale(crops)) return;
    const answer = await answerOf(() => this.#server.crops({ asked: JSON.parse(asked), pages }));
    if (this.#isStale(crops)) return;
    for (const page of pages) pending.delete(page);
    const time = performance.now();
    for (const [page, markup] of Object.entries(answer.crops ?? {})) crops.set(page, { markup, time });
    if (answer.sentence) this.#showError(answer.sentence, pages);
    else this.#fill();
  }

  /** Return whether another query was answered since these crops were begun. */
  #isStale = (crops) => crops !== this.#crops || !this.#element.isConnected;

  #fill() {
    for (const slot of this.#slots()) {
      const crop = this.#crops.get(slot.dataset.page);
      if (!crop || slot.firstChild) continue;
      slot.innerHTML = crop.markup;
    }
  }

  #showError(sentence, pages) {
    for (const slot of this.#slots()) {
      if (!pages.includes(slot.dataset.page) || slot.firstChild) continue;
      slot.append(make("span", { class: "crop is-none" }, make("span", { class: "crop-caption" }, sentence)));
    }
  }
}

// ---- winner maps over the cards ----

class CardMaps {
  #element;
  #server;
  #answers = new AnswerCache(48).forgetOnAnswer();
  #page = "";
  #timer;

  constructor(element, server) {
    this.#element = element;
    this.#server = server;
    const cardOf = (node) => node?.closest?.(".card");
    element.addEventListener("pointerover", (event) => {
      const card = cardOf(event.target);
      if (card && event.pointerType !== "touch") this.#enter(card, REST_MS);
    });
    element.addEventListener("pointerout", (event) => {
      if (cardOf(event.target) !== cardOf(event.relatedTarget)) this.#leaveUnlessFocused();
    });
    element.addEventListener("focusin", (event) => {
      const card = cardOf(event.target);
      if (card?.matches(":focus-visible")) this.#enter(card, 0);
    });
    element.addEventListener("focusout", () => this.leave());
  }

  /** Remove the map. */
  leave() {
    clearTimeout(this.#timer);
    this.#page = "";
    for (const map of this.#element.querySelectorAll(".card-map")) map.remove();
  }

  #leaveUnlessFocused() {
    this.leave();
    const focused = this.#element.querySelector(".card:focus-visible");
    if (focused) this.#enter(focused, 0);
  }

  #enter(card, rest) {
    const { page } = card.dataset;
    if (page === this.#page) return;
    this.leave();
    this.#page = page;
    this.#timer = setTimeout(() => this.#show(page), rest);
  }

  async #show(page) {
    const asked = askedFields();
    if (!asked) return;
    const question = { asked: JSON.parse(asked), page, view: "winners" };
    const answer = await this.#answers.recall(page, () => this.#server.overlay(question));
    if (!answer.picture) return;
    const picture = make("img", { src: answer.picture, alt: "" });
    await picture.decode().catch(() => {});
    if (page !== this.#page || asked !== askedFields() || !picture.naturalWidth) return;
    for (const card of this.#element.querySelectorAll(".card")) {
      if (card.dataset.page === page) layOver(card.querySelector(".thumb-frame"), picture);
    }
  }
}

/** Lay a map of a whole page over the thumbnail in a frame, which may show only the start of the page. */
function layOver(frame, picture) {
  const thumb = frame?.querySelector("img.thumb");
  if (!thumb || frame.querySelector(".card-map")) return;
  const [width, height] = [Number(thumb.getAttribute("width")), Number(thumb.getAttribute("height"))];
  // The frame may be wider or higher than the thumbnail, which then is in the middle of its element.
  const scale = Math.min(thumb.offsetWidth / width, thumb.offsetHeight / height);
  const map = make("span", { class: "card-map", "aria-hidden": "true" });
  Object.assign(map.style, {
    left: `${thumb.offsetLeft + (thumb.offsetWidth - width * scale) / 2}px`,
    top: `${thumb.offsetTop + (thumb.offsetHeight - height * scale) / 2}px`,
    width: `${width * scale}px`,
    height: `${height * scale}px`,
  });
  const shape = picture.naturalHeight / picture.naturalWidth / (height / width);
  const isLong = Math.max(height / width, width / height) >= LONG_THUMBNAIL;
  for (const name of ["card-map-ink", "card-map-light"]) {
    const layer = make("img", { class: name, src: picture.src, alt: "", draggable: "false" });
    layer.style.width = isLong && shape < 1 ? `${100 / shape}%` : "100%";
    layer.style.height = isLong && shape > 1 ? `${100 * shape}%` : "100%";
    map.append(layer);
  }
  frame.append(map);
}
