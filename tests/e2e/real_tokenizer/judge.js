// node judge.js LIBRARY ENCODING < texts.jsonl: what a library makes of each line, a JSON string. LIBRARY is
// tiktoken (OpenAI's own code in WebAssembly) or gpt-tokenizer (written anew in JavaScript). A line of tokens
// for each text; names of special tokens are ordinary text.
"use strict";

const fs = require("fs");

function encoderOf(library, encoding) {
  if (library === "tiktoken") {
    const { get_encoding } = require("tiktoken");
    const tokenizer = get_encoding(encoding);
    return (text) => Array.from(tokenizer.encode_ordinary(text));
  }
  const tokenizer = require(`gpt-tokenizer/cjs/encoding/${encoding}`);
  return (text) => tokenizer.encode(text, { allowedSpecial: new Set(), disallowedSpecial: new Set() });
}

const [library, encoding] = process.argv.slice(2);
const encode = encoderOf(library, encoding);
const lines = fs.readFileSync(0, "utf8").split("\n").filter((line) => line !== "");
process.stdout.write(lines.map((line) => `${encode(JSON.parse(line)).join(" ")}\n`).join(""));
