// Many files in one upload: what goes out, and that a coordinator reads the same files from it.
#include "cli/cluster/pack.hpp"
#include "coordinator/inputs/file_source.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace pack_test {

using namespace gristmill;
using namespace gristmill::cli;
namespace fs = std::filesystem;

namespace {

struct Corpus {
  fs::path directory;
  std::vector<InputSpec> files;

  Corpus() {
    std::string name = fs::temp_directory_path() / "gristmill-pack-XXXXXX";
    directory = ::mkdtemp(name.data());
  }
  ~Corpus() { fs::remove_all(directory); }
  void add(const std::string& name, const std::string& text) {
    std::ofstream{directory / name, std::ios::binary} << text;
    files.push_back({directory / name, name, text.size()});
  }
};

template <class Source> Result<std::string> all_of(Source& source, std::size_t piece) {
  std::string all, bytes(piece, '\0');
  for (;;) {
    const auto got = source.read(bytes);
    GRISTMILL_TRY(got);
    all.append(bytes, 0, *got);
    if (*got < piece) return all;
  }
}

} // namespace

TEST_CASE("files that were packed are read again, each by itself") {
  Corpus corpus;
  for (std::size_t n = 0; n < 50; ++n)
    corpus.add(fmt::format("{}.txt", n), std::string(n * 7, static_cast<char>('a' + n % 26)));
  corpus.files.insert(corpus.files.begin() + 3, InputSpec{"-", "stdin"});
  const std::size_t piece = GENERATE(1, 7, 16, 1'000'000);
  PackContent content{corpus.files};
  const auto packed = all_of(content, piece);
  REQUIRE(packed);
  CHECK(packed->size() == content.bytes());
  const fs::path pack = corpus.directory / "pack", standard = corpus.directory / "standard";
  std::ofstream{pack, std::ios::binary} << *packed;
  std::ofstream{standard, std::ios::binary} << "from a pipe";
  PackList entries{corpus.files, pack, standard};
  const auto list = all_of(entries, piece);
  REQUIRE(list);
  const fs::path path = corpus.directory / "list";
  std::ofstream{path, std::ios::binary} << *list;
  auto source = coordinator::FileSource::open(
      {coordinator::listed_input(path, 51, list->size(), coordinator::digest_of_list(*list))},
      corpus.directory);
  REQUIRE(source);
  for (std::uint32_t n = 0; n < 51; ++n) {
    std::string text(1'000, '\0');
    text.resize((*source)->read(n, 0, text).value());
    CHECK((*source)->name_of(n).value() == corpus.files[n].name);
    const auto at = static_cast<std::size_t>(n < 3 ? n : n - 1);
    CHECK(text == (n == 3 ? "from a pipe" : std::string(at * 7, static_cast<char>('a' + at % 26))));
  }
}

TEST_CASE("a file that changes on its way ends the upload") {
  Corpus corpus;
  corpus.add("a.txt", "first");
  corpus.add("b.txt", "second");
  const int change = GENERATE(-1, 0, 1);
  corpus.files[0].bytes = static_cast<std::uint64_t>(5 + change);
  PackContent content{corpus.files};
  const auto packed = all_of(content, 100);
  CHECK(packed.has_value() == (change == 0));
  if (!packed) CHECK_THAT(packed.error().message, Catch::Contains("a.txt: expected the"));
}

TEST_CASE("a file that is gone ends the upload by name") {
  Corpus corpus;
  corpus.add("a.txt", "first");
  fs::remove(corpus.directory / "a.txt");
  PackContent content{corpus.files};
  const auto packed = all_of(content, 100);
  REQUIRE_FALSE(packed);
  CHECK_THAT(packed.error().message, Catch::Contains("a.txt"));
}

} // namespace pack_test
