// Measures what decode() allocates at most for hostile frames, by counting in operator new; a
// program of its own, because counting would disturb the other tests. Exit 1: a frame was given
// more than protocol/node/msgpack_reader.hpp allows.
#include "protocol/node/codec.hpp"
#include "protocol/node/msgpack_reader.hpp"
#include "tests/unit/coordinator/gateway/raw_frame.hpp"

#include <cstdio>
#include <cstdlib>
#include <malloc.h>
#include <new>

namespace {
std::size_t held = 0, peak = 0;
}

void* operator new(std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc{};
  held += malloc_usable_size(memory);
  peak = held > peak ? held : peak;
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) held -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}

namespace {

using namespace gristmill;

bool measure(const char* name, const std::string& bytes) {
  const std::size_t before = held;
  peak = held;
  const bool accepted = protocol::decode(bytes, protocol::Direction::from_worker).has_value();
  const std::size_t used = peak - before;
  // Text is copied once, with its allocation's own bytes.
  const std::size_t most = protocol::memory_max_of(bytes.size()) + 3 * bytes.size() + 4096;
  std::printf("%-34s %8s %10zu bytes: %10zu allocated, %5.2f of each byte\n", name,
              accepted ? "accepted" : "refused", bytes.size(), used,
              static_cast<double>(used) / static_cast<double>(bytes.size()));
  return used <= most;
}

std::string need(const std::string& calls) {
  return raw::frame(raw::need, raw::map({{"n", raw::number(1)}, {"c", calls}}));
}
std::string outcomes(const std::string& list) {
  return raw::frame(raw::outcomes, raw::map({{"o", list}}));
}

} // namespace

int main() {
  const std::string huge = "\xff\xff\xff\xff", full = "\xdc\xff\xff";
  const auto pair = [](char key, const std::string& value) {
    return std::string{"\xa1"} + key + value;
  };
  const std::string ids = pair('c', "\x01") + pair('a', "\x01");
  const std::string job = "\x81" + pair('j', "\x01");
  const std::string small = "\x83" + ids + pair('p', "\x91" + job);
  const std::string many_parts = "\x83" + ids + pair('p', full + raw::repeated(job, 65'535));
  bool good = true;
  good &= measure("list of 4 G", need("\xdd" + huge));
  good &= measure("text of 4 G", need("\xdb" + huge));
  good &= measure("map of 4 G", raw::frame(raw::need, "\xdf" + huge));
  good &= measure("65535 outcomes announced", outcomes(full));
  good &= measure("65535 empty outcomes", outcomes(full + raw::repeated("\x80", 65'535)));
  good &= measure("65535 smallest outcomes", outcomes(full + raw::repeated(small, 65'535)));
  good &= measure("1000 smallest outcomes", outcomes(raw::list_of(1'000, small)));
  good &= measure("80 outcomes of 65535 parts", outcomes(raw::list_of(80, many_parts)));
  good &= measure("65535 smallest ids", need(full + raw::repeated("\x01", 65'535)));
  good &= measure("3 MB of nil", need(raw::list_of(3'000'000, raw::nil)));
  good &= measure("chain of full lists", need(raw::repeated(full, 24'000)));
  good &= measure("depth 100000", raw::repeated("\x91", 100'000));
  good &=
      measure("answer of 16 MiB",
              outcomes(raw::list({raw::map({{"c", raw::number(1)},
                                            {"a", raw::number(1)},
                                            {"p", raw::parts},
                                            {"b", raw::opaque(std::string(16u << 20, 'b'))}})})));
  return good ? 0 : 1;
}
