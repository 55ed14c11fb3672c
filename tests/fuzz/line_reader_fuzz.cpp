// Foreign input files. The items must not depend on the pieces in which the bytes were read, nor on
// where a restart began; and what an item was made of is found again at its place.
#include "actors/intake/intake.hpp"
#include "tests/unit/actors/intake/memory_pages.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

using namespace gristmill;
using intake::Item;

namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

// Gives at most so many bytes at a time.
class Pieces final : public intake::ByteSource {
public:
  Pieces(std::string_view bytes, std::size_t most) : bytes_{bytes}, most_{most} {}

  Result<std::size_t> read(std::uint32_t, std::uint64_t offset, std::span<char> into) override {
    if (offset >= bytes_.size()) return 0;
    const std::string_view rest = bytes_.substr(offset);
    const std::size_t given = std::min({rest.size(), into.size(), most_});
    std::copy_n(rest.data(), given, into.data());
    return given;
  }
  std::uint32_t input_count() const override { return 1; }
  Result<std::string> name_of(std::uint32_t) override { return name; }
  std::unique_ptr<intake::ScratchPages> scratch() override {
    return std::make_unique<MemoryPages>();
  }

  std::string name;

private:
  std::string_view bytes_;
  std::size_t most_;
};

struct ReadItem {
  Item item;
  InputPosition after;
};

std::vector<ReadItem> items_of(const JobSpec& spec, Pieces source, InputPosition from) {
  source.name = spec.inputs.front().name;
  intake::Intake intake{spec, source, from};
  std::vector<ReadItem> items;
  for (;;) {
    auto item = intake.next();
    if (!item) expect(source.name.ends_with("sv")); // the header of a table may be a failure
    if (!item || !*item) return items;
    if ((*item)->bad.empty()) {
      const auto again = intake.read_again((*item)->place);
      expect(again && *again == (*item)->raw);
    }
    items.push_back({std::move(**item), intake.position()});
  }
}

void expect_same(const Item& a, const Item& b) {
  expect(a.ordinal == b.ordinal && a.id == b.id && a.raw == b.raw && a.bad == b.bad);
  expect(a.place.offset == b.place.offset && a.place.bytes == b.place.bytes &&
         a.place.line == b.place.line && a.place.kind == b.place.kind);
}

} // namespace

// kind of name, longest line, size of a piece; the rest is the file
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  static constexpr const char* names[]{"a.jsonl", "a.txt", "a", "a.csv", "a.tsv"};
  JobSpec spec;
  spec.inputs = {{"/a", names[data[0] % 5]}};
  spec.limits.line_bytes_max = 1 + data[1];
  const std::size_t piece = 1 + data[2] % 64;
  const std::string_view file{reinterpret_cast<const char*>(data) + 3, size - 3};

  const auto whole = items_of(spec, {file, file.size() + 1}, {});
  const auto pieces = items_of(spec, {file, piece}, {});
  expect(whole.size() == pieces.size() && whole.size() <= file.size() + 1);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    expect_same(whole[i].item, pieces[i].item);
    expect(whole[i].after == pieces[i].after);
  }
  if (whole.empty()) return 0;
  const std::size_t middle = whole.size() / 2;
  const auto rest = items_of(spec, {file, piece}, whole[middle].after);
  expect(rest.size() == whole.size() - middle - 1);
  for (std::size_t i = 0; i < rest.size(); ++i)
    expect_same(rest[i].item, whole[middle + 1 + i].item);
  return 0;
}
