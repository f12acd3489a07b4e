"use strict";
// Everything is put into the page as text, never as markup: names of files are not to be trusted.
(() => {
  const { limits, clips } = JSON.parse(document.getElementById("facts").textContent);
  const sheets = [...document.querySelectorAll("[data-sheet]")];
  const buttons = [...document.querySelectorAll("[data-show]")];
  const dialog = document.getElementById("clip");

  function make(tag, text, kind) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  }

  function show(name) {
    if (!sheets.some((sheet) => sheet.dataset.sheet === name)) return;
    for (const sheet of sheets) sheet.hidden = sheet.dataset.sheet !== name;
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.show === name);
  }

  function row(name, value, { min, max }) {
    const line = make("tr");
    const known = typeof value === "number";
    const outside = known && ((min !== undefined && value < min) || (max !== undefined && value > max));
    const band = [min !== undefined ? `at least ${min}` : "", max !== undefined ? `at most ${max}` : ""];
    line.append(make("td", name), make("td", known ? String(+value.toPrecision(6)) : "not measured", "num"));
    line.append(make("td", band.filter(Boolean).join(", ")), make("td", outside ? "outside" : ""));
    if (outside) line.className = "outside";
    return line;
  }

  function tell(card) {
    const key = card.dataset.key;
    const clip = clips[key];
    const about = dialog.querySelector(".about");
    const picture = card.querySelector("img");
    const table = make("table");
    for (const [name, value] of clip.scores) table.append(row(name, value, limits[name]));
    about.replaceChildren();
    if (picture) about.append(picture.cloneNode());
    about.append(make("h3", clip.path), make("p", `${clip.time} · ${clip.picture}`, "note"));
    const verdict = make("p");
    verdict.append(make("span", clip.state, `state ${clip.state}`), ` ${clip.reason}`);
    about.append(verdict, make("p", clip.caption), table);
    about.append(make("p", "framemill audit path=DATASET key=" + key, "command"));
    dialog.showModal();
  }

  for (const button of buttons)
    button.addEventListener("click", () => {
      show(button.dataset.show);
      if (!button.classList.contains("tab")) document.getElementById("clips-shown").scrollIntoView({ behavior: "smooth", block: "start" });
    });
  for (const card of document.querySelectorAll(".card")) card.addEventListener("click", () => tell(card));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  show("kept");
})();
