/* The table of a query list: fetches it when the run has finished, then sorts and filters its rows. Python makes and escapes
   the markup. */
(() => {
  "use strict";
  const { ask, reopen } = window.smartDemo.judging;
  /* Columns that sort upwards at first, so that the most interesting rows come first. */
  const RISING = new Set(["query", "rbo", "tau"]);

  function sort(table, head) {
    const key = head.querySelector("[data-sort]").dataset.sort, before = head.getAttribute("aria-sort");
    const rising = before === "none" ? RISING.has(key) : before === "descending";
    for (const other of table.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0], direction = rising ? 1 : -1;
    const value = (row) => key === "query" ? row.querySelector(".list-query bdi:last-of-type").textContent : row.dataset[key];
    const compare = (a, b) => {
      const [one, other] = [value(a), value(b)];
      if (one === "" || other === "") return (one === "") - (other === "");
      return direction * (key === "query" ? one.localeCompare(other) : one - other);
    };
    /* Ties keep the order of the list. */
    body.append(...[...body.rows].sort((a, b) => compare(a, b) || a.dataset.place - b.dataset.place));
  }

  const FILTERS = {
    all: () => true,
    first: (row) => row.dataset.first === "1",
    five: (row) => row.dataset.five === "1",
    smart: (row) => row.dataset.better === "smart",
    pooled: (row) => row.dataset.better === "pooled",
  };

  function filter(place) {
    const words = place.querySelector('[data-list="find"]').value.trim().toLocaleLowerCase();
    const matches = FILTERS[place.querySelector('[data-list="show"]').value];
    let shown = 0;
    for (const row of place.querySelector("tbody").rows) {
      row.hidden = !(matches(row) && row.querySelector(".list-query").textContent.toLocaleLowerCase().includes(words));
      shown += !row.hidden;
    }
    const count = place.querySelector(".list-count"), of = count.dataset.of;
    count.textContent = shown === Number(of) ? `${of} shown` : `${shown} of ${of} shown`;
  }

  function toggleFive(place) {
    const five = place.querySelector("#list-five"), on = five.hidden;
    five.hidden = !on;
    place.querySelector('[data-list="five"]').setAttribute("aria-expanded", String(on));
    for (const why of place.querySelectorAll(".list-why")) {
      why.hidden = !on;
      why.closest("tr").classList.toggle("is-picked", on);
    }
    if (on) five.focus();
  }

  window.smartDemo.queryList = (element, server, watch, trigger) => {
    let csv = null;

    async function fill() {
      const place = element.querySelector("[data-run]");
      csv = null;
      if (!place) return;
      const found = await ask(server, "list_table", { run: place.dataset.run });
      if (!place.isConnected) return;
      place.setAttribute("aria-busy", "false");
      if (found.sentence) { place.textContent = found.sentence; return; }
      place.innerHTML = found.table;
      csv = found;
    }

    async function vote(button) {
      const place = button.closest("[data-run]");
      button.disabled = true;
      const answer = await ask(server, "list_vote", { run: place.dataset.run, at: Number(button.dataset.vote) });
      button.disabled = false;
      if (answer.sentence) { place.querySelector(".list-said").textContent = answer.sentence; return; }
      document.dispatchEvent(new CustomEvent("judged"));
      window.smartDemo.judge.show("vote");
    }

    element.addEventListener("click", (event) => {
      const button = event.target.closest("button"), place = button?.closest("[data-run]");
      if (!place) return;
      if (button.dataset.reopen) reopen(button, trigger);
      else if (button.dataset.vote) vote(button);
      else if (button.dataset.sort) sort(place.querySelector("table"), button.closest("th"));
      else if (button.dataset.list === "five") toggleFive(place);
      else if (button.dataset.list === "csv" && csv) window.smartDemo.save(new Blob([csv.csv], { type: "text/csv" }), csv.name);
    });
    element.addEventListener("input", (event) => event.target.closest("[data-list]") && filter(element.querySelector("[data-run]")));
    watch("value", fill);
    fill();
  };
})();
