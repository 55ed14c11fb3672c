// RECORDER: what an event writes of its job, and what follows from it for the job's counts and
// errors. It gathers the lines of parts and items that end, notes of attempts and acknowledgements
// into one append, which is taken when the event is over. Invariant: an item counts as completed or
// failed when its line is durable, and not before.
#pragma once

#include "actors/supervisor/call_planner.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/error_book.hpp"
#include "actors/words/input_position.hpp"
#include "actors/words/joining.hpp"
#include "actors/words/look_up.hpp"
#include "actors/words/records.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"
#include "protocol/openai/line/result_line.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::supervisor {

// Lines that the supervisor writes by itself and that are not durable yet.
inline constexpr std::uint64_t undurable_lines_max = 8'192;

struct Ack {
  SessionId session;
  AttemptId attempt;
};

// The parts of a level of a divided item have ended.
struct EndedLevel {
  std::uint64_t item = 0;
  std::uint32_t model = 0; // as of PartNumber
};

// Lines that are durable now.
struct DurableLines {
  std::uint64_t completed = 0, failed = 0, parts = 0; // of items, of items, of parts
  std::vector<EndedLevel> levels = {};                // all of whose parts are
  std::vector<AskedRequest> answered = {};            // that have an answer
  std::uint64_t cached_bytes = 0;                     // of lines with the answer of another
  bool empty() const { return completed + failed + parts == 0; }
};

// Goes to the journal as one; `acks` and `durable` come back when it is durable.
struct Append {
  std::vector<journal::ResultLine> lines;
  std::vector<journal::PartLine> parts;
  std::vector<journal::AttemptNote> attempts;
  journal::JobNote note;
  std::vector<Ack> acks;
  DurableLines durable;
  bool all_read = false; // of what was left out behind the last item there is no other word
  bool empty() const {
    return lines.empty() && parts.empty() && attempts.empty() && acks.empty() &&
           note.ambiguous == 0 && !all_read;
  }
};

// An item as people know it.
struct ItemName {
  std::string id;     // custom_id
  std::string source; // FILE:LINE
};
// "ID (FILE:LINE): what came"
std::string described(const ItemName& item, const protocol::Reply& reply);

// A part that ends.
struct Ending {
  PartId part;
  ItemName item;
  std::string input; // fields of --keep as a JSON object; empty = none were asked for
  std::uint32_t tries = 0;
  bool of_several = false; // its item has other parts
  std::optional<openai::ChunkOfText> chunk = {};
  std::uint32_t chunks = 0;  // of an item of one part, as of Provenance
  bool repaired = false;     // likewise
  AskedRequest request = {}; // that it made
  bool on_fallback = false;  // another model has answered it, or may have
  bool cached = false;       // it takes the answer to another one
  Saved saved = {};          // … and so much was not used again
};

class Recorder {
public:
  // `spec` outlives it. The counts and errors are those of earlier lives of the job.
  Recorder(JobId job, const JobSpec& spec, JobCounts counts, const ErrorList& errors)
      : job_{job}, spec_{spec}, counts_{counts} {
    errors_.count_from(errors);
  }

  const JobCounts& counts() const { return counts_; }
  ErrorBook& errors() { return errors_; }
  std::uint64_t undurable_lines() const { return undurable_lines_; }
  std::uint64_t undurable_cached_bytes() const { return undurable_cached_bytes_; }

  // Reading has come so far, and to the end.
  void has_read(const InputPosition& read);
  void has_read_all();

  // An outcome is acknowledged, whatever becomes of it; `late`: for so many parts it decides
  // nothing any more.
  void came(const ReportedOutcome& call, std::uint64_t late);
  void decides(const protocol::Outcome& outcome, std::uint64_t parts); // … and for so many it does
  void ambiguous(std::uint64_t calls); // of which nobody will say whether they were made
  void note(journal::AttemptNote note) { append_.attempts.push_back(std::move(note)); }
  void met(const protocol::Reply& error, const ItemName& item);

  // The one line of a part, or of an item of one part. `endpoint`: URL; empty = there was no call.
  // `size`: as of PartLine.
  void part_ended(const Ending& ending, const protocol::Reply& reply, const std::string& endpoint,
                  std::uint32_t size);
  void item_ended(const Ending& ending, const protocol::Reply& reply, const std::string& endpoint);
  void level_ended(EndedLevel level) { append_.durable.levels.push_back(level); }
  void joined(JoinedItem item, const ItemName& name);

  // The event is over; reading would go on at `low`.
  bool has_news() const { return !append_.empty(); }
  Append take(const InputPosition& low);

  void durable(const DurableLines& lines);
  // For calls that are lost; it is in the journal already.
  void charged(Usd cost) { counts_.cost += cost; }

private:
  std::string line_of(const Ending& ending, const protocol::Reply& reply,
                      const std::string& endpoint) const;
  void write(std::uint64_t item, OutcomeClass cls, std::string line);
  RequestKey answered(const Ending& ending, const protocol::Reply& reply, std::size_t bytes);

  JobId job_;
  const JobSpec& spec_;
  JobCounts counts_;
  ErrorBook errors_; // of all ends of calls, and of items that had none
  std::uint64_t undurable_lines_ = 0, undurable_cached_bytes_ = 0;
  Append append_; // of this event, so far
};

} // namespace gristmill::supervisor
