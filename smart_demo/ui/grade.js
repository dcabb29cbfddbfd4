/* Graded relevance: one page is large, the arrows take the next, a key gives its grade. */
(() => {
  "use strict";
  const judge = window.smartDemo.judge;

  judge.grade = (element, server, watch, trigger) => {
    const one = (selector) => element.querySelector(selector), slips = () => [...element.querySelectorAll(".slip")];
    let page = "", query = "", turn = 0;
    const at = () => slips().findIndex((slip) => slip.dataset.page === page);

    /* The first page without a grade comes first; after a reload, too. */
    function settle() {
      const all = slips();
      if (!all.length) return;
      const asked = one(".judge-query").textContent;
      if (asked !== query || at() < 0) page = (all.find((slip) => !slip.dataset.grade) ?? all[0]).dataset.page;
      query = asked;
      choose(at());
    }

    function choose(to, focus = false) {
      const all = slips(), slip = all[Math.min(Math.max(to, 0), all.length - 1)];
      page = slip.dataset.page;
      for (const other of all) {
        other.setAttribute("aria-selected", String(other === slip));
        other.tabIndex = other === slip ? 0 : -1;
      }
      for (const button of element.querySelectorAll("[data-as]")) {
        button.setAttribute("aria-pressed", String(button.dataset.as === slip.dataset.grade));
      }
      const strip = slip.parentElement;
      strip.scrollTop = slip.offsetTop - (strip.clientHeight - slip.offsetHeight) / 2;
      strip.scrollLeft = slip.offsetLeft - (strip.clientWidth - slip.offsetWidth) / 2;
      if (focus) slip.focus({ preventScroll: true });
      read(slip);
    }

    async function read(slip) {
      const mine = ++turn, image = one(".reading-page img"), said = one(".reading-said"), thumb = slip.querySelector("img.thumb");
      const name = [".leaf-name", ".leaf-page"].map((part) => slip.querySelector(part).textContent).join(", ");
      said.textContent = name;
      image.alt = name;
      image.hidden = !thumb;
      if (thumb) image.src = thumb.src;
      const answer = await judge.picture(server, slip.dataset.page);
      if (mine !== turn) return;
      if (answer.picture) { image.src = answer.picture; image.hidden = false; }
      else said.textContent = `${name}. ${answer.sentence}`;
    }

    /* After a grade, the next page that has none; where all have one, the page stays. */
    async function grade(value) {
      const slip = slips()[at()], before = slip?.dataset.grade, graded = page;
      if (!slip) return;
      await panel.tell({ act: "grade", page: graded, grade: Number(value) });
      const all = slips(), here = all.findIndex((other) => other.dataset.page === graded);
      if (here < 0 || before === all[here].dataset.grade || before) return;
      const open = [...all.slice(here + 1), ...all.slice(0, here)].find((other) => !other.dataset.grade);
      choose(open ? all.indexOf(open) : here, element.contains(document.activeElement));
    }

    const enlarge = () => judge.blind.open(slips(), slips()[at()], server);

    function click(button) {
      if (button.dataset.as) grade(button.dataset.as);
      else if ("view" in button.dataset) enlarge();
      else if ("ranks" in button.dataset) panel.tell({ act: "ranks" });
    }

    function key(pressed) {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[pressed];
      if (!panel.ready()) return /^[0-3]$/.test(pressed);
      if (pressed === "u") panel.tell({ act: "undo" });
      else if (pressed === "n" && Number(one("[data-next]")?.dataset.next) >= 0) panel.look({ act: "go", at: Number(one("[data-next]").dataset.next) });
      else if (!slips().length) return false;
      else if (step) choose(at() + step, true);
      else if (/^[0-3]$/.test(pressed)) grade(pressed);
      else if (pressed === "v" || (pressed === "Enter" && document.activeElement.matches(".slip"))) enlarge();
      else return false;
      return true;
    }

    element.addEventListener("click", (event) => {
      const slip = event.target.closest(".slip");
      if (slip) choose(slips().indexOf(slip), true);
    });
    const panel = judge.panel(element, watch, trigger, { name: "grade", act: (what) => server.grade(what), settle, click, key });
  };
})();
