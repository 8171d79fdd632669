"use strict";
(() => {
  const WORDS = {
    ko: {
      other: "English", otherTitle: "Show in English", about: "요약: 검사, 출처, 계획",
      checks: "검사별 건수", provenance: "출처", splits: "분할", plan: "계획", search: "원문과 번역에서 찾기 ( / )",
      rows: "행", passed: "통과", failed: "실패", flagged: "경고", kept: "그대로 둔 칸", clean: "문제 없음",
      anyState: "모든 상태", anyCheck: "모든 검사", anySubset: "모든 서브셋", anySplit: "모든 분할", anyLeaf: "모든 필드",
      of: (n, shown, all) => `${n}행 표시 · 전체 ${all}행 가운데 ${shown}행이 이 문서에 있음`,
      loading: "여는 중", source: "원문", translation: "번역", none: "없음", empty: "비어 있음",
      others: "번역하지 않은 필드", copy: "ID 복사", copied: "복사했습니다", link: "링크", nothing: "맞는 행이 없습니다",
      keys: "j / k: 다음 / 이전 행", gate: "필수", flag: "경고", place: "번째",
      names: {
        source: "데이터셋", revision: "리비전", licence: "라이선스", languages: "언어", translator: "번역기",
        prompt: "프롬프트", module: "모듈 생성 방식", cost: "비용",
      },
    },
    en: {
      other: "한국어", otherTitle: "한국어로 보기", about: "Summary: checks, provenance, plan",
      checks: "Findings by check", provenance: "Provenance", splits: "Splits", plan: "Plan", search: "Search source and translation ( / )",
      rows: "rows", passed: "passed", failed: "failed", flagged: "flagged", kept: "cells kept", clean: "nothing found",
      anyState: "Any state", anyCheck: "Any check", anySubset: "Any subset", anySplit: "Any split", anyLeaf: "Any field",
      of: (n, shown, all) => `${n} rows listed · ${shown} of ${all} rows are in this page`,
      loading: "opening", source: "Source", translation: "Translation", none: "none", empty: "empty",
      others: "Fields that are not translated", copy: "Copy ID", copied: "Copied", link: "Link", nothing: "No row fits",
      keys: "j / k: next / previous row", gate: "gate", flag: "flag", place: "no.",
      names: {
        source: "Dataset", revision: "Revision", licence: "Licence", languages: "Languages", translator: "Translator",
        prompt: "Prompt", module: "Way of the module", cost: "Cost",
      },
    },
  };
  const STATES = ["failed", "flagged", "clean"];
  const FILTERS = ["state", "check", "subset", "split", "leaf"];
  const ROW = 66; // px, as --row in the style
  // Signs that are not seen, or that change how others are: shown by their numbers.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff]|\p{Cs}/gu;

  const $ = (id) => document.getElementById(id);
  const rows = [];
  let view = [], chosen = -1, facts = null, words = WORDS.ko, whole = false, query = "";
  const picked = { state: "", check: "", subset: "", split: "", leaf: "" };

  function el(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  function texts(text) {
    const out = [];
    let start = 0;
    for (const m of text.matchAll(HIDDEN)) {
      out.push(text.slice(start, m.index), el("span", { class: "sign" },
        "U+" + m[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0")));
      start = m.index + m[0].length;
    }
    return out.length ? [...out, text.slice(start)] : [text];
  }

  const count = (n) => n.toLocaleString("en-US");
  const idOf = (r) => `${facts.parts[r.p][0]}/${facts.parts[r.p][1]}/${r.n}`;

  // --- data ---------------------------------------------------------------------------------

  async function decoded(node) {
    const bytes = Uint8Array.from(atob(node.textContent), (c) => c.charCodeAt(0));
    node.remove();
    if (typeof DecompressionStream === "undefined") {
      return JSON.parse(new TextDecoder().decode(inflated(bytes)));
    }
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  }

  // Inflate (RFC 1951), for browsers without DecompressionStream. Our gzip header has 10 bytes.
  function inflated(bytes) {
    const end = bytes.length;
    const out = new Uint8Array(new DataView(bytes.buffer).getUint32(end - 4, true));
    let at = 10, held = 0, has = 0, to = 0;
    const bits = (n) => {
      while (has < n) { held |= bytes[at++] << has; has += 8; }
      const value = held & ((1 << n) - 1);
      held >>>= n; has -= n;
      return value;
    };
    const tree = (lengths) => {
      const counts = new Uint16Array(16), places = new Uint16Array(16), signs = new Uint16Array(lengths.length);
      for (const n of lengths) counts[n]++;
      counts[0] = 0;
      for (let n = 1; n < 16; n++) places[n] = places[n - 1] + counts[n - 1];
      lengths.forEach((n, sign) => { if (n) signs[places[n]++] = sign; });
      return { counts, signs };
    };
    const sign = ({ counts, signs }) => {
      let code = 0, first = 0, index = 0;
      for (let n = 1; n < 16; n++) {
        code |= bits(1);
        if (code - first < counts[n]) return signs[index + code - first];
        index += counts[n];
        first = (first + counts[n]) << 1;
        code <<= 1;
      }
      throw new Error("broken data");
    };
    const steps = (start, more) => more.map((n) => { const from = start; start += 1 << n; return from; });
    const lengthBits = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5];
    const farBits = [0, 0, 0, 0, ...Array.from({ length: 26 }, (_, i) => 1 + (i >> 1))];
    const lengthFrom = steps(3, lengthBits), farFrom = steps(1, farBits);
    const fixed = [
      tree(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
      tree(Array(30).fill(5)),
    ];
    const dynamic = () => {
      const [some, fars, codes] = [bits(5) + 257, bits(5) + 1, bits(4) + 4];
      const small = Array(19).fill(0), lengths = [];
      const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
      for (let i = 0; i < codes; i++) small[order[i]] = bits(3);
      const code = tree(small);
      while (lengths.length < some + fars) {
        const s = sign(code);
        if (s < 16) lengths.push(s);
        else {
          const value = s === 16 ? lengths.at(-1) : 0;
          const times = s === 16 ? 3 + bits(2) : s === 17 ? 3 + bits(3) : 11 + bits(7);
          for (let i = 0; i < times; i++) lengths.push(value);
        }
      }
      return [tree(lengths.slice(0, some)), tree(lengths.slice(some))];
    };
    for (let last = 0; !last;) {
      last = bits(1);
      const kind = bits(2);
      if (kind === 0) {
        held = has = 0;
        const size = bytes[at] | (bytes[at + 1] << 8);
        at += 4;
        out.set(bytes.subarray(at, at + size), to);
        at += size; to += size;
        continue;
      }
      const [literals, fars] = kind === 1 ? fixed : dynamic();
      for (let s; (s = sign(literals)) !== 256;) {
        if (s < 256) { out[to++] = s; continue; }
        const same = s === 285 ? 258 : lengthFrom[s - 257] + bits(lengthBits[s - 257]);
        const f = sign(fars), far = farFrom[f] + bits(farBits[f]);
        for (let i = 0; i < same; i++, to++) out[to] = out[to - far];
      }
    }
    return out;
  }

  // --- which rows ---------------------------------------------------------------------------

  function found(r) {
    if (!query) return true;
    if (picked.leaf) {
      return r.c.some(([leaf, , a, b]) => leaf === picked.leaf && ((a ?? "") + "\n" + (b ?? "")).toLowerCase().includes(query));
    }
    return r.text.includes(query);
  }

  function said(r) {
    const parts = [idOf(r), ...r.c.flatMap((c) => [c[2], c[3]]), ...r.o.map((o) => o[1]), ...r.k.map((k) => k[2])];
    return parts.join("\n").toLowerCase();
  }

  function fits(r) {
    if (picked.state && STATES[r.s] !== picked.state) return false;
    if (picked.subset && facts.parts[r.p][0] !== picked.subset) return false;
    if (picked.split && facts.parts[r.p][1] !== picked.split) return false;
    if (picked.check && !r.k.some(([check, leaf]) => check === picked.check && (!picked.leaf || !leaf || leaf === picked.leaf))) return false;
    if (picked.leaf && !r.c.some(([leaf]) => leaf === picked.leaf)) return false;
    return found(r);
  }

  function filter() {
    const before = view[chosen];
    query = $("search").value.normalize("NFC").toLowerCase();
    view = rows.filter(fits);
    chosen = Math.max(view.indexOf(before), view.length ? 0 : -1);
    $("list").scrollTop = Math.max(0, chosen * ROW - 3 * ROW);
    drawList();
    drawRow();
  }

  // --- drawing ------------------------------------------------------------------------------

  function drawList() {
    const list = $("list"), tall = $("tall");
    tall.style.height = `${view.length * ROW}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 6);
    const last = Math.min(view.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 6);
    const items = [];
    for (let i = first; i < last; i++) items.push(item(i));
    tall.replaceChildren(...items);
    $("shown").textContent = (whole ? "" : `${words.loading} … `)
      + words.of(count(view.length), count(rows.length), count(facts.counts.rows));
    list.title = words.keys;
  }

  function item(i) {
    const r = view[i];
    const cells = picked.leaf ? r.c.filter((c) => c[0] === picked.leaf) : r.c;
    const line = (side) => texts(cells.slice(0, 4).map((c) => c[side] ?? "").filter(Boolean).join(" · ").slice(0, 160));
    const [, to] = facts.languages;
    const node = el("div", { class: "item", role: "option", "aria-selected": i === chosen, onclick: () => choose(i) },
      el("div", { class: "top" }, el("span", { class: `mark s${r.s}` }, words[STATES[r.s]]), idOf(r),
        r.k.length ? ` · ${[...new Set(r.k.map((k) => k[0]))].join(", ")}` : ""),
      el("div", { class: "old", dir: "auto" }, ...line(2)),
      el("div", { dir: "auto", lang: to }, ...line(3)));
    node.style.top = `${i * ROW}px`;
    return node;
  }

  function drawRow() {
    const r = view[chosen], box = $("row");
    if (!r) return box.replaceChildren(el("p", { class: "none" }, words.nothing));
    const id = idOf(r), [from, to] = facts.languages;
    const cells = r.c.map(([leaf, place, a, b], i) => {
      const listed = r.c.some((c, j) => j !== i && c[0] === leaf);
      return el("section", { class: "cell" + (picked.leaf && picked.leaf !== leaf ? " dim" : "") },
        el("div", {}, ...texts(leaf), listed ? ` · ${words.place} ${place + 1}` : ""),
        el("div", { class: "pair" }, side(a, from, words.source), side(b, to, words.translation)));
    });
    const others = r.o.length ? [el("details", {}, el("summary", {}, `${words.others} (${r.o.length})`),
      el("table", {}, ...r.o.map(([leaf, text]) => el("tr", {}, el("td", {}, ...texts(leaf)),
        el("td", { class: "text", dir: "auto" }, ...texts(text))))))] : [];
    box.replaceChildren(
      el("div", { class: "name" }, el("span", { class: `mark s${r.s}` }, words[STATES[r.s]]), el("code", { id: "id" }, id),
        el("button", { type: "button", onclick: (e) => copy(id, e.currentTarget) }, words.copy),
        el("a", { href: `#${encodeURIComponent(id)}` }, words.link)),
      ...r.k.map(([check, leaf, said]) => el("div", { class: `found s${r.s}` },
        el("strong", {}, check), leaf ? ` · ${leaf}` : "", el("div", { class: "text", dir: "auto" }, ...texts(said)),
        el("small", {}, says(check)))),
      ...cells, ...others);
    box.scrollTop = 0;
  }

  function side(text, lang, name) {
    const none = text === null || text === "";
    return el("div", { class: none ? "none" : "text", lang, dir: "auto", title: name },
      ...(none ? [text === null ? words.none : words.empty] : texts(text)));
  }

  function says(check) {
    const known = facts.checks.find((c) => c[0] === check);
    return known ? (words === WORDS.ko ? known[4] || known[3] : known[3]) : "";
  }

  function choose(i) {
    if (i < 0 || i >= view.length) return;
    chosen = i;
    const list = $("list");
    if (i * ROW < list.scrollTop) list.scrollTop = i * ROW;
    else if ((i + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (i + 1) * ROW - list.clientHeight;
    drawList();
    drawRow();
  }

  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page without the right to it: by selection, as ever
      const range = document.createRange();
      range.selectNodeContents($("id"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = words.copied;
  }

  function options(id, any, pairs) {
    $(id).replaceChildren(el("option", { value: "" }, any), ...pairs.map(([value, name]) => el("option", { value }, name)));
    $(id).value = picked[id];
  }

  function table(id, lines) {
    $(id).replaceChildren(...lines.map((cells) => el("tr", {}, ...cells.map((c) => (
      typeof c === "number" ? el("td", { class: "number" }, count(c)) : el("td", {}, c))))));
  }

  function drawFrame() {
    document.documentElement.lang = words === WORDS.ko ? "ko" : "en";
    document.title = `${facts.slug} · HRET Agents`;
    for (const node of document.querySelectorAll("[data-w]")) node.textContent = words[node.dataset.w];
    $("slug").textContent = facts.slug;
    const c = facts.counts;
    $("counts").textContent = ["rows", "passed", "failed", "flagged", "kept"].map((k) => `${words[k]} ${count(c[k])}`).join(" · ");
    $("language").textContent = words.other;
    $("language").title = words.otherTitle;
    $("search").placeholder = words.search;
    const unique = (place) => [...new Set(facts.parts.map((p) => p[place]))].map((v) => [v, v]);
    options("state", words.anyState, STATES.map((s) => [s, words[s]]));
    options("check", words.anyCheck, facts.checks.map(([name, n]) => [name, `${name} (${count(n)})`]));
    options("subset", words.anySubset, unique(0));
    options("split", words.anySplit, unique(1));
    options("leaf", words.anyLeaf, facts.leaves.map((v) => [v, v]));
    table("checks", facts.checks.map(([name, n, gate]) => [
      el("button", { type: "button", onclick: () => { picked.check = $("check").value = name; filter(); } }, name),
      gate ? words.gate : words.flag, n, says(name)]));
    table("splits", facts.parts.map(([subset, split, all, passed, failed]) => [
      `${subset}/${split}`, `${words.passed} ${count(passed)} / ${count(all)}, ${words.failed} ${count(failed)}`]));
    const from = { ...facts.provenance, languages: facts.languages.join(" → ") };
    if (facts.cost !== null) from.cost = facts.cost;
    table("provenance", Object.keys(words.names).filter((k) => k in from)
      .map((k) => [words.names[k], from[k] ?? words.none]));
    $("plan").replaceChildren(...texts(facts.plan.replace(/^#.*\n/gm, "")));
  }

  // --- the reader ---------------------------------------------------------------------------

  function goTo() {
    let id = "";
    try { id = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const r = id && rows.find((row) => idOf(row) === id);
    if (!r) return;
    if (!view.includes(r)) {
      for (const name of FILTERS) picked[name] = $(name).value = "";
      $("search").value = "";
      filter();
    }
    choose(view.indexOf(r));
  }

  function listen() {
    for (const name of FILTERS) $(name).addEventListener("change", () => { picked[name] = $(name).value; filter(); });
    $("search").addEventListener("input", filter);
    $("list").addEventListener("scroll", drawList, { passive: true });
    addEventListener("resize", drawList);
    addEventListener("hashchange", goTo);
    $("language").addEventListener("click", () => {
      words = words === WORDS.ko ? WORDS.en : WORDS.ko;
      drawFrame(); drawList(); drawRow();
    });
    addEventListener("keydown", (e) => {
      const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
      if (e.key === "Escape" && typing) return e.target.blur();
      if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
      const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[e.key];
      if (step) choose(chosen + step);
      else if (e.key === "/") $("search").focus();
      else return;
      e.preventDefault();
    });
  }

  async function take() {
    for (const node of document.querySelectorAll("script.rows")) {
      const fresh = await decoded(node);
      for (const r of fresh) r.text = said(r);
      rows.push(...fresh);
      view.push(...fresh.filter(fits));
      if (chosen < 0 && view.length) { chosen = 0; drawRow(); }
      drawList();
    }
  }

  async function open() {
    facts = await decoded(document.querySelector("script.facts"));
    drawFrame();
    listen();
    await take(); // the first rows stand before this script, the others behind it
    if (document.readyState === "loading") {
      await new Promise((done) => document.addEventListener("DOMContentLoaded", done));
    }
    await take();
    whole = true;
    drawList();
    goTo();
    if (!view.length) drawRow();
  }

  open();
})();
