/* Saving the comparison on the screen: one HTML file, made in Python, or a picture that is drawn here from that file.
   The file is parsed without running anything in it, and what it says was escaped in Python. */
(() => {
  "use strict";
  const WIDE = 1920, HIGH = 1080;
  const REFUSED = "This browser does not let a page draw its own picture. Save the web page instead: it shows the same.";
  const menu = () => document.querySelector("#save-choices");
  const opener = () => document.querySelector('[data-share="save"]');

  /* ---- the two choices, under their button ---- */
  function open(on) {
    if (!menu() || menu().hidden === !on) return;
    menu().hidden = !on;
    opener().setAttribute("aria-expanded", String(on));
    say("");
  }

  function say(text) {
    menu().querySelector(".save-said").textContent = text;
  }

  document.addEventListener("click", (event) => {
    const choice = event.target.closest?.("[data-save]");
    if (choice) save(choice.dataset.save);
    else if (event.target.closest?.('[data-share="save"]')) open(menu().hidden);
    else if (!event.target.closest?.("#save-choices")) open(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu() || menu().hidden) return;
    event.preventDefault();
    event.stopPropagation();
    open(false);
    opener().focus();
  }, true);

  /* ---- what is saved ---- */
  async function save(form) {
    if (menu().ariaBusy === "true") return;
    menu().ariaBusy = "true";
    say("One moment…");
    try {
      const answer = await ask();
      if (answer.sentence) { say(answer.sentence); return; }
      const picture = form === "picture";
      const file = picture ? await draw(answer.page).catch(() => null) : new Blob([answer.page], { type: "text/html" });
      if (!file) { say(REFUSED); return; }
      const name = `${answer.name}.${picture ? "png" : "html"}`;
      window.smartDemo.save(file, name);
      say(`Saved as ${name}`);
    } finally {
      menu().ariaBusy = "false";
    }
  }

  async function ask() {
    const asked = document.querySelector(".answer[data-asked]")?.dataset.asked;
    if (!asked) return { sentence: "There is no answer to save yet." };
    const silent = { sentence: "The demo does not answer. Is it still running?" };
    try {
      return await window.smartDemo.server.comparison({ asked: JSON.parse(asked), at: location.origin + location.pathname }) ?? silent;
    } catch {
      return silent;
    }
  }

  /* The file's own sheet as a drawing; a browser that draws nothing counts as one that refuses. */
  async function draw(page) {
    const parsed = new DOMParser().parseFromString(page, "text/html");
    const sheet = parsed.querySelector(".sheet"), whole = parsed.createElement("div");
    sheet.classList.add("is-picture");
    whole.append(parsed.querySelector("style"), sheet);
    const size = `width="${WIDE}" height="${HIGH}"`;
    const drawing = `<svg xmlns="http://www.w3.org/2000/svg" ${size}><foreignObject ${size}>${
      new XMLSerializer().serializeToString(whole)}</foreignObject></svg>`;
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(drawing)}`;
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: WIDE, height: HIGH });
    const pen = canvas.getContext("2d");
    pen.drawImage(image, 0, 0);
    const some = pen.getImageData(0, 0, WIDE, 240).data;
    if (some.every((part, at) => part === some[at % 4])) throw new Error("blank");
    return new Promise((done) => canvas.toBlob(done, "image/png"));
  }
})();
