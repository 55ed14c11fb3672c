// What the tests of merging on a real disk share: a job's directory with segments that goes away.
// Invariant: the bytes behind the durable ones of a segment are no line.
#pragma once

#include "coordinator/journal/segment_files.hpp"
#include "coordinator/result/merge_files.hpp"
#include "tests/unit/actors/merger/merger_harness.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdlib.h>

namespace gristmill::merger_test {

using namespace gristmill::coordinator;
namespace fs = std::filesystem;

inline std::string text_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A job's directory with segments, and a directory for its result.
struct Disk {
  struct Segment : StoredSegment {
    std::string path;
  };
  std::string root;
  std::vector<Segment> segments;
  std::uint64_t items;

  // The answers of `count` items, somewhat out of order, in `files` segments with torn tails.
  explicit Disk(std::uint64_t count, std::size_t files = 3) : items{count} {
    std::string name = (fs::current_path() / "merge_files_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root = name;
    fs::create_directories(root + "/job");
    fs::create_directories(root + "/out");
    std::vector<std::string> texts(files);
    for (std::uint64_t i = 0; i < count; ++i)
      texts[i * files / count] += line_of(i - i % 50 + std::min(50 - 1 - i % 50, count - 1));
    for (std::size_t n = 0; n < files; ++n) {
      add_segment(static_cast<std::uint32_t>(n + 1), texts[n].size());
      std::ofstream{segments.back().path} << texts[n] << "{\"id\":\"batch_req_7_1\",\"cus";
    }
  }
  // Embeddings in place of the answers; the last item has none.
  void embed() {
    std::string text;
    for (std::uint64_t i = 0; i < items; ++i) {
      protocol::Outcome outcome = own_error("timeout", "late");
      if (i + 1 < items) outcome = answer("");
      outcome.body = fmt::format(R"({{"data":[{{"index":0,"embedding":[{}.5,0,-1]}}]}})", i);
      text += line_of(i, outcome);
    }
    segments.clear();
    add_segment(9, text.size());
    std::ofstream{segments.back().path} << text;
  }
  ~Disk() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
  }
  Disk(const Disk&) = delete;

  std::string output() const { return root + "/out/result.jsonl"; }
  std::string summary() const { return output() + ".summary.json"; }
  void add_segment(std::uint32_t number, std::uint64_t bytes) {
    segments.push_back({{number, bytes}, fmt::format("{}/job/results-{:06}.jsonl", root, number)});
  }
  MergeFilesOptions options() const {
    auto lines = std::make_shared<SegmentFiles>(
        root + "/job", std::vector<StoredSegment>{segments.begin(), segments.end()});
    return {std::move(lines), output(), root + "/job", {}};
  }
  std::unique_ptr<DiskMergeFiles> open() const { return open(options()); }
  std::unique_ptr<DiskMergeFiles> open(MergeFilesOptions with) const {
    auto files = DiskMergeFiles::open(std::move(with));
    if (!files) FAIL(files.error().message);
    return std::move(*files);
  }
  std::vector<std::string> names(const std::string& directory) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator{root + "/" + directory})
      found.push_back(entry.path().filename().string());
    std::ranges::sort(found);
    return found;
  }
};

} // namespace gristmill::merger_test
