// gristmill-count-tokens FILE.tiktoken[:NAME] [--ids] < texts.jsonl: of each line, a JSON string,
// the number of its tokens; with --ids the tokens.
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/text/json_text.hpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

int main(int argc, char** argv) {
  using namespace gristmill;
  const std::string given = argc > 1 ? argv[1] : "";
  const bool ids = argc > 2 && std::string_view{argv[2]} == "--ids";
  const std::size_t colon = given.find(':');
  std::ifstream file{given.substr(0, colon), std::ios::binary};
  const std::string ranks{std::istreambuf_iterator<char>{file}, {}};
  const auto tokenizer =
      bpe::Tokenizer::read(ranks, colon == std::string::npos ? "" : given.substr(colon + 1));
  if (!tokenizer) {
    std::cerr << tokenizer.error().message << '\n';
    return 2;
  }
  for (std::string line; std::getline(std::cin, line);) {
    const std::string text = json::text_of(json::root(line));
    if (!ids) {
      std::cout << tokenizer->count(text) << '\n';
      continue;
    }
    const char* between = "";
    for (const bpe::Rank token : tokenizer->encode(text)) {
      std::cout << between << token;
      between = " ";
    }
    std::cout << '\n';
  }
  return 0;
}
