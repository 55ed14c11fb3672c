// LINE STORE: the window through which lines that are durable are read. Whoever merges a job,
// prints it or looks for an item's line has them from here, and never by the path of a file.
// Invariant: what it gives back is what was appended, or an error.
#pragma once

#include "actors/words/records.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gristmill::journal {

// Some of a job's lines of one kind, as they were appended one after the other; each ends with a
// newline.
struct Segment {
  std::uint32_t number = 0; // rises in the order of time, and is never given twice
  std::uint64_t bytes = 0;  // durable ones, whole lines
  bool operator==(const Segment&) const = default;
};

// Lines of parts are written where items have several.
enum class LineKind : std::uint8_t { results, parts };

// A job's lines of one kind that were durable when they were asked for; what is appended later is
// not among them. One thread at a time.
class JobLines {
public:
  virtual ~JobLines() = default;
  virtual const std::vector<Segment>& segments() const = 0; // oldest first
  // Exactly into.size() bytes of the segment with this index, all of them durable. unavailable:
  // not now; any other error is for good.
  virtual Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) = 0;
  // Where people may look at it, in words; to no other end.
  virtual std::string place_of(std::size_t segment) const = 0;
};

class LineStore {
public:
  virtual ~LineStore() = default;
  // Any thread, both. The durable part lines of an item that hold, in the order of their parts, of
  // those whose numbers are in [first, last).
  virtual Result<std::vector<PartLine>>
  parts_of(JobId job, std::uint64_t item, std::uint32_t first = 0, std::uint32_t last = ~0u) = 0;
  // Any thread. The durable line that answered this request of the job; none = there is none, or it
  // is not known any more.
  virtual Result<std::optional<std::string>> answer_to(JobId job, const RequestKey& key) = 0;
  // not_found: there is no such job.
  virtual Result<std::shared_ptr<JobLines>> lines_of(JobId job, LineKind kind) const = 0;
};

} // namespace gristmill::journal
