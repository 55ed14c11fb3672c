"""Texts on which tokenizers may differ, the same each time: prose in ten languages, code, numbers, contractions,
marks, emoji, space of every kind, control characters, names of special tokens, and all of it mixed.
"""
import random

PROSE = {
    "English": "The miller's daughter couldn't say whether they'd sold 1,250 sacks; she'll ask again on Monday. "
               "I'm told it WASN'T raining, and that's what we've always believed. Nobody remembered a better year.",
    "German": "Die Müllerin schüttete das Getreide zwischen zwei schwere Mühlsteine und wartete, bis das Mehl so fein "
              "war, wie sie es haben wollte. Straßenbahnhaltestellenüberdachungen gibt's hier nicht!",
    "French": "L'été dernier, le meunier n'a pas vendu sa farine : « C'est trop cher », disait-on. Aujourd'hui, "
              "qu'est-ce qu'il en reste ? Près de 3 000 sacs, entassés là-bas.",
    "Spanish": "¿Cuántos años hace que el molino no muele? El niño preguntó mañana y noche; nadie contestó. "
               "¡Qué vergüenza!, dijo la señora González.",
    "Polish": "Młynarz wsypał żyto między dwa ciężkie kamienie i czekał, aż mąka będzie drobna. Zażółć gęślą jaźń.",
    "Turkish": "Değirmenci mısırı iki ağır taşın arasına döktü ve unun istediği kadar ince olmasını bekledi. "
               "İstanbul'da ılık bir gün.",
    "Russian": "Мельник насыпал зерно между двумя тяжёлыми камнями и ждал, пока мука не станет такой мелкой, как он "
               "хотел. Никто в деревне не помнил лучшего года.",
    "Arabic": "صب الطحان الحبوب بين حجرين ثقيلين وانتظر حتى أصبح الدقيق ناعمًا كما أراد. هَلْ تَذْكُرُ ١٢٣ كيسًا؟",
    "Hindi": "चक्की वाले ने दो भारी पत्थरों के बीच अनाज डाला और आटा महीन होने तक प्रतीक्षा की। क्या आपको १२३ बोरे याद हैं?",
    "Chinese": "磨坊主把玉米倒在两块沉重的石头之间，等待面粉变细。村里没有人记得更好的一年。共卖出1250袋！",
    "Japanese": "粉屋は重い石臼の間に穀物を入れて、粉が細かくなるまで待ちました。ｶﾀｶﾅとひらがな、２０２６年。",
    "Korean": "방앗간 주인은 무거운 두 돌 사이에 곡식을 붓고 가루가 고와질 때까지 기다렸다. 아무도 더 좋은 해를 기억하지 못했다.",
}
CODE = {
    "Python": "def grind(sacks: list[int], *, fine=True) -> dict:\n    \"\"\"Grinds.\"\"\"\n    return {n: n ** 2 for n in "
              "sacks if n % 3 == 0}\n\n\nif __name__ == \"__main__\":\n\tprint(f\"{grind([1, 2, 3])!r}\")\n",
    "C++": "#include <vector>\n\ntemplate <class T> T sum(const std::vector<T>& all) {\r\n  T total{};  // 0x1F\r\n"
           "  for (auto&& each : all) total += each;\r\n  return total >> 2;\r\n}\n\n\n/*** end ***/\n",
    "JSON": '{"id": "a-1", "values": [1.5e-10, -200000, null, true], "nested": {"deep": [[[]]], "text": "\\u00e9\\n"}}',
    "HTML": '<!DOCTYPE html>\n<html lang="en">\n  <body class="a b">\n    <p>1 &lt; 2 &amp;&amp; x</p>\n    '
            '<a href="https://example.org/?q=a%20b&n=10#top">more…</a>\n  </body>\n</html>\n',
    "SQL": "SELECT name, COUNT(*) FROM sacks WHERE price >= 10.50 AND NOT sold GROUP BY name ORDER BY 2 DESC;--'s",
    "Shell": "$ for f in *.txt; do sed -e 's/\\s\\+$//' \"$f\" | sort -u > /tmp/$f.out 2>&1 || exit 1; done",
    "TeX": "\\begin{equation}\n\\sum_{i=1}^{n} x_i^2 \\leq \\frac{\\alpha}{\\beta'}\n\\end{equation}",
}
SPACE = [" ", "  ", "   ", "       ", "\n", "\n\n", "\n\n\n", "\r\n", "\r", "\t", "\t\t", " \n", "\n ", " \n \n", "\v", "\f",
         "\u00a0", "\u2003", "\u2028", "\u3000", "\u202f", "\u1680"]
WORDS = ["'s", "'S", "'t", "'LL", "'ll", "'Ve", "'re", "'RE", "'m", "'d", "'D", "'x", "'", "’s", "don't", "WE'LL", "o'clock",
         "HTTPServer", "camelCase", "snake_case", "UPPER", "Title", "ÉCOLE", "ǅ", "ʰ", "ß", "ẞ", "ﬁ",
         "1", "12", "123", "1234", "12345678901234567890", "3.14159", "1,000,000", "²³", "½", "Ⅷ", "٣٤٥", "१२३", "0x1f",
         ".", "..", "...", "!?", "--", "---", "==", "//", "///", "/*", "*/", "{}", "})", "];", "</", "/>", "&&", "||", "::", "->",
         "…", "—", "«", "»", "“", "”", "、", "。", "€", "$", "§", "©", "™", "→", "∑", "≤", "█", "─",
         "😀", "🎉🚀", "👩‍👩‍👧", "🇩🇪", "👍🏽", "☃️", "❤️‍🔥", "e\u0301", "\u0301\u0302", "\u200b", "\u200d", "\ufe0f", "\u180e",
         "<|endoftext|>", "<|im_start|>", "<|fim_prefix|>", "<|endofprompt|>", "<|start|>", "[INST]", "</s>",
         "\0", "\x01", "\x1b[31m", "\x1c", "\x1f", "\x7f", "\u0378", "\ue000", "\U0010ffff", "\ufffd"]
# Where JavaScript's regular expressions differ from Rust's: what is space, what is an s, and letters of Unicode 16.
ODD = ["\ufeff", "\x85", "'\u017f", "\U00010d50", "\U000105c0\U00016d70", "\u0897"]


def pieces(rng):
    """A text that is put together of some of everything, or of much of few things."""
    prose = [word for text in PROSE.values() for word in text.split(" ")]
    pool = rng.choice([SPACE + WORDS, prose + WORDS, rng.sample(SPACE + WORDS, 4), prose + SPACE,
                       [line for text in CODE.values() for line in text.split("\n")] + SPACE])
    between = rng.choice(["", " ", "", "\n"])
    return between.join(rng.choice(pool) for _ in range(rng.choice([2, 5, 12, 40])))


def cut(rng, text):
    """A part of a text that begins and ends anywhere, mostly not between words."""
    start = rng.randrange(len(text))
    return text[start:start + rng.choice([5, 20, 80, 400])]


def characters(rng):
    """Characters of any kind, assigned or not."""
    top = rng.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000])
    codes = (rng.randrange(top) for _ in range(rng.choice([3, 10, 30])))
    return "".join(chr(code) for code in codes if not 0xd800 <= code < 0xe000)


def texts():
    """2,000 texts."""
    rng = random.Random(20260901)
    whole = [*PROSE.values(), *CODE.values()]
    first = [*whole, "\n".join(whole), *SPACE, *WORDS, *(" " + word for word in WORDS), *(s + "x" for s in SPACE)]
    first += [character * count for character in (" ", "\n", "\t", "a", "A", "=", "中", "é", "1", "😀", "\u0301")
              for count in (2, 3, 7, 100, 1000)]
    found = []
    while len(found) < 2000:
        kind = rng.random()
        text = (first.pop(0) if first else pieces(rng) if kind < 0.5 else
                cut(rng, rng.choice(whole)) if kind < 0.8 else characters(rng))
        if not any(odd in text for odd in ODD):
            found.append(text)
    return found


def odd_texts():
    """Texts that only tiktoken itself can judge."""
    rng = random.Random(7)
    return ["".join(rng.choice(ODD + WORDS + SPACE) for _ in range(rng.choice([2, 4, 9]))) for _ in range(500)]


def words(length):
    """Words that are one piece of so many characters."""
    rng = random.Random(3)
    small = "abcdefghijklmnopqrstuvwxyz"
    return ["a" * length, "".join(rng.choice(small) for _ in range(length)),
            "".join(rng.choice(small + small.upper()) for _ in range(length)),
            "".join(chr(rng.randrange(0x4e00, 0x9fa5)) for _ in range(length // 3)),
            "".join(rng.choice(["the", "ing", "er", "qu", "tion", "zz"]) for _ in range(length // 3)), " " * length]
