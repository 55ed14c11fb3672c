// The windows of a job's rooms on the simulator's disk: its input, and the files of a merge.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "actors/merger/merge_files.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/unit/actors/intake/memory_pages.hpp"

#include <algorithm>
#include <cstring>
#include <functional>

namespace gristmill::sim {

class MemorySource final : public intake::ByteSource {
public:
  // `there`: how many bytes of it there are now, all of them if it has come to its end; none = it
  // does not grow.
  using There = std::function<std::size_t()>;
  explicit MemorySource(std::string_view text, There there = nullptr)
      : texts_{text}, there_{std::move(there)} {}
  // Of an open job: `named` has what is appended.
  using Named = std::function<std::string_view(const std::string& path)>;
  MemorySource(std::string_view text, Named named) : texts_{text}, named_{std::move(named)} {}
  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override {
    const std::string_view text = texts_.at(input);
    const std::size_t there = there_ ? there_() : text.size();
    if (offset >= text.size() && there == text.size()) return std::size_t{0};
    if (offset >= there) return fail(ErrorCode::not_yet, "there is no more of it now");
    const std::size_t n = std::min(into.size(), there - static_cast<std::size_t>(offset));
    std::memcpy(into.data(), text.data() + offset, n);
    return n;
  }
  std::uint32_t input_count() const override { return static_cast<std::uint32_t>(texts_.size()); }
  void append(const std::vector<InputSpec>& inputs) override {
    for (const InputSpec& input : inputs) texts_.push_back(named_(input.path));
  }
  void close() override { is_closed_ = true; }
  bool is_closed() const override { return is_closed_; }
  bool grows(std::uint32_t) override { return there_ != nullptr; }
  Result<std::string> name_of(std::uint32_t) override { return std::string{"in.jsonl"}; }
  std::unique_ptr<intake::ScratchPages> scratch() override {
    return std::make_unique<MemoryPages>();
  }

private:
  std::vector<std::string_view> texts_;
  There there_;
  Named named_;
  bool is_closed_ = false;
};

class MemoryMerge final : public merger::MergeFiles {
public:
  // `full()`: the disk takes nothing now.
  MemoryMerge(std::shared_ptr<journal::JobLines> lines, std::string& result,
              std::function<bool()> full)
      : lines_{std::move(lines)}, result_{result}, full_{std::move(full)} {}
  std::size_t segment_count() const override { return lines_->segments().size(); }
  std::uint64_t segment_bytes(std::size_t segment) const override {
    return lines_->segments().at(segment).bytes;
  }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override {
    return lines_->read(segment, offset, into);
  }
  Result<> put_place(std::uint64_t item, merger::LinePlace place) override {
    places_[item] = place;
    return {};
  }
  Result<merger::LinePlace> place_of(std::uint64_t item) override { return places_[item]; }
  Result<> write(std::string_view bytes) override {
    if (full_()) return fail(ErrorCode::disk_full, "the disk is full");
    part_ += bytes;
    return {};
  }
  Result<> write_ids(std::string_view) override { return {}; }
  Result<merger::FinalFile> finish() override {
    result_ = part_;
    return merger::FinalFile{"out.jsonl", "", part_.size(), 0, ""};
  }
  Result<> write_summary(std::string_view) override { return {}; }

private:
  std::shared_ptr<journal::JobLines> lines_;
  std::string part_;
  std::string& result_;
  std::function<bool()> full_;
  std::map<std::uint64_t, merger::LinePlace> places_;
};

} // namespace gristmill::sim
