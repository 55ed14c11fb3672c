// Scratch pages in memory.
#pragma once

#include "actors/intake/scratch_pages.hpp"

#include <vector>

namespace gristmill {

class MemoryPages final : public intake::ScratchPages {
public:
  Result<std::uint64_t> append(const intake::Page& page) override {
    if (full) return fail(ErrorCode::unavailable, "create scratch: Too many open files");
    pages_.push_back(page);
    return pages_.size() - 1;
  }
  Result<> read(std::uint64_t number, intake::Page& into) override {
    into = pages_.at(number);
    ++reads;
    return {};
  }
  Result<> clear() override {
    pages_.clear();
    return {};
  }

  std::uint64_t reads = 0;
  bool full = false;

private:
  std::vector<intake::Page> pages_;
};

} // namespace gristmill
