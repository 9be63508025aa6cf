"use strict";
// The table of breaks: search, filters, order and pages, over the rows that stand in the page itself.
(function () {
  const holder = document.getElementById("rows-data");
  const table = document.getElementById("table");
  if (!holder || !table) return;
  const { columns, rows, digits, wording: words } = JSON.parse(holder.textContent);
  const place = Object.fromEntries(columns.map((name, index) => [name, index]));
  const shown = [["key", "key"], ["customer", "customer"], ["class", "class"], ["cause", "cause"], ["date", "date"],
    ["sales_amount", "sales"], ["finance_amount", "finance"], ["money_at_risk", "at risk"]];
  const amounts = new Set(["sales_amount", "finance_amount", "amount_difference", "money_at_risk"]);
  const filters = {};
  let order = ["money_at_risk", -1], page = 0, found = rows;
  const PAGE = 50;
  const get = (row, name) => row[place[name]];
  const element = (tag, text, kind) => {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const kind = (name) => (amounts.has(name) ? "num " : "") + name.replace("_amount", "").replace("money_", "").replace("_", "-");
  const wording = (text) => words[text] || String(text).replaceAll("_", " ");
  function money(amount, currency) {
    if (amount === null) return "";
    const places = digits[currency] ?? 2;
    return (amount / 10 ** places).toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
  }
  function value(row, name) {
    const raw = get(row, name);
    if (amounts.has(name)) return money(raw, get(row, "currency"));
    return raw === null ? "" : name === "class" ? wording(raw) : String(raw);
  }
  function apply() {
    const sought = (filters.search || "").toLowerCase();
    found = rows.filter((row) => Object.entries(filters).every(([name, wanted]) => !wanted || name === "search" || get(row, name) === wanted)
      && (!sought || ["key", "customer", "product", "cause", "evidence", "channel"].some((name) => String(get(row, name) ?? "").toLowerCase().includes(words))));
    const [name, direction] = order;
    found = [...found].sort((a, b) => {
      const x = get(a, name), y = get(b, name);
      if (x === y) return 0;
      if (x === null) return 1;
      if (y === null) return -1;
      return (typeof x === "number" ? x - y : String(x).localeCompare(String(y))) * direction;
    });
    page = 0;
    draw();
  }
  function why(row) {
    const line = element("tr", null, "why"), cell = element("td"), list = element("dl");
    cell.colSpan = shown.length;
    const where = (side) => get(row, side + "_file") === null ? "nothing there"
      : [value(row, side + "_amount"), get(row, side + "_file") + ", row " + get(row, side + "_row")].filter(Boolean).join(" · ");
    const told = [["sales", where("sales")], ["finance", where("finance")], ["stage", wording(get(row, "stage"))],
      ["product", value(row, "product")], ["channel", value(row, "channel")], ["age", value(row, "age")],
      ["difference", value(row, "amount_difference")], ["kind of cause", wording(get(row, "cause_kind"))],
      ["evidence", value(row, "evidence")], ["correction", value(row, "correction")]];
    for (const [name, text] of told) {
      if (!text) continue;
      const pair = element("div");
      pair.append(element("dt", name), element("dd", text));
      list.append(pair);
    }
    cell.append(list);
    line.append(cell);
    return line;
  }
  function draw() {
    const head = document.getElementById("head"), body = document.getElementById("body");
    head.replaceChildren(...shown.map(([name, title]) => {
      const cell = element("th", null, kind(name)), button = element("button");
      const here = order[0] === name;
      button.type = "button";
      button.textContent = title + (here ? (order[1] > 0 ? " ↑" : " ↓") : "");
      cell.scope = "col";
      if (here) cell.setAttribute("aria-sort", order[1] > 0 ? "ascending" : "descending");
      button.addEventListener("click", () => { order = [name, here ? -order[1] : amounts.has(name) ? -1 : 1]; apply(); });
      cell.append(button);
      return cell;
    }));
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((row) => {
      const line = element("tr", null, "break");
      shown.forEach(([name], index) => {
        const cell = element(index ? "td" : "th", null, kind(name));
        const text = value(row, name) + (name === "money_at_risk" ? " " + get(row, "currency") : "");
        if (index) cell.textContent = text;
        else {
          const button = element("button", text);
          button.type = "button";
          button.setAttribute("aria-expanded", "false");
          cell.scope = "row";
          cell.append(button);
        }
        line.append(cell);
      });
      line.addEventListener("click", () => {
        const open = line.nextElementSibling && line.nextElementSibling.className === "why";
        if (open) line.nextElementSibling.remove(); else line.after(why(row));
        line.querySelector("button").setAttribute("aria-expanded", String(!open));
      });
      return line;
    }));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    document.getElementById("found").textContent = found.length.toLocaleString("en") + (found.length === 1 ? " break" : " breaks");
    document.getElementById("page").textContent = "Page " + (page + 1) + " of " + pages;
    document.getElementById("before").disabled = page === 0;
    document.getElementById("after").disabled = page >= pages - 1;
    chips();
  }
  function chips() {
    const made = Object.entries(filters).filter(([name, wanted]) => wanted && !["search", "class", "cause"].includes(name)).map(([name, wanted]) => {
      const chip = element("button", name + ": " + wording(wanted) + " ×", "chip");
      chip.type = "button";
      chip.setAttribute("aria-label", "no longer only " + name + " " + wanted);
      chip.addEventListener("click", () => { delete filters[name]; apply(); });
      return chip;
    });
    document.getElementById("more-filters").replaceChildren(...made);
  }
  for (const name of ["class", "cause"]) {
    const select = document.getElementById(name);
    for (const each of [...new Set(rows.map((row) => get(row, name)))].sort()) select.append(new Option(wording(each), each));
    select.addEventListener("change", () => { filters[name] = select.value; apply(); });
  }
  document.getElementById("search").addEventListener("input", (event) => { filters.search = event.target.value; apply(); });
  document.getElementById("before").addEventListener("click", () => { page -= 1; draw(); });
  document.getElementById("after").addEventListener("click", () => { page += 1; draw(); });
  for (const button of document.querySelectorAll("button[data-field]")) {
    button.addEventListener("click", () => {
      const { field, value: wanted } = button.dataset;
      for (const name of Object.keys(filters)) delete filters[name];
      filters[field] = wanted;
      document.getElementById("search").value = "";
      for (const name of ["class", "cause"]) document.getElementById(name).value = field === name ? wanted : "";
      apply();
      document.getElementById("breaks").scrollIntoView();
    });
  }
  table.hidden = false;
  apply();
})();
