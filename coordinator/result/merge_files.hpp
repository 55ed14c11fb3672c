// DISK MERGE FILES: the order index and the result of one job on disk, and its lines from the
// journal.
//
//   WORK/merge.index       (without a name while it is used)
//   OUTPUT.part         -> OUTPUT             compressed if its name says so
//   NAME.ids.jsonl.part -> NAME.ids.jsonl     beside an OUTPUT that is NAME.npy
//   OUTPUT.summary.json.part -> OUTPUT.summary.json
//
// An OUTPUT of "-" is nowhere here: lines are only counted, the summary is WORK/summary.json.
// Invariant: opening begins a merge from nothing; what a killed one left is not looked at.
#pragma once

#include "actors/journal/line_store.hpp"
#include "actors/merger/merge_files.hpp"
#include "coordinator/result/part_file.hpp"
#include "coordinator/result/place_index.hpp"

#include <memory>
#include <string>

namespace gristmill::coordinator {

struct MergeFilesOptions {
  std::shared_ptr<journal::JobLines> lines;
  std::string output;
  std::string work_directory;          // of the job; is there
  Readers readers = Readers::by_umask; // of the output and what lies beside it
  DiskCalls calls = real_disk();
};

// The file beside an array: of "out/vectors.npy" it is "out/vectors.ids.jsonl".
std::string ids_path_of(const std::string& array);

class DiskMergeFiles : public merger::MergeFiles {
public:
  // Fails at once when the output could not be written in its place.
  static Result<std::unique_ptr<DiskMergeFiles>> open(MergeFilesOptions options);

  std::size_t segment_count() const override { return options_.lines->segments().size(); }
  std::uint64_t segment_bytes(std::size_t segment) const override {
    return options_.lines->segments().at(segment).bytes;
  }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override {
    return options_.lines->read(segment, offset, into);
  }
  Result<> put_place(std::uint64_t item, merger::LinePlace place) override {
    return index_.put(item, place);
  }
  Result<merger::LinePlace> place_of(std::uint64_t item) override { return index_.get(item); }
  Result<> write(std::string_view bytes) override;
  Result<> write_ids(std::string_view bytes) override { return ids_->append(bytes); }
  Result<merger::FinalFile> finish() override;
  Result<> write_summary(std::string_view json) override;

private:
  DiskMergeFiles(MergeFilesOptions options, PlaceIndex index, std::unique_ptr<PartFile> output,
                 std::unique_ptr<PartFile> ids);

  MergeFilesOptions options_;
  PlaceIndex index_;
  std::unique_ptr<PartFile> output_, ids_; // where there are such files
  std::uint64_t streamed_bytes_ = 0;
};

} // namespace gristmill::coordinator
