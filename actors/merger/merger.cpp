#include "actors/merger/merger.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "actors/merger/array_writer.hpp"
#include "actors/merger/item_scan.hpp"
#include "actors/merger/segment_scan.hpp"
#include "actors/merger/summary.hpp"
#include "protocol/job/output_form.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"

#include <fmt/format.h>

namespace gristmill::merger {
namespace {

constexpr std::uint64_t items_per_slice = 64 * 1024; // of a search that reads the index alone

} // namespace

//   index ───────────> write ───> finish ───> over
//     every line is      those that  result, then
//     checked, its       hold, with  summary, get
//     place is noted     statistics  their names
//     │
//     └> search ────────────────────────────> over
//          lines are missing: the first item without one is named
//
// A step is a slice of one of these; any failure leads to `over`.
struct Merger::Work {
  enum class Phase { index, search, write, finish, over };

  Work(MergeTask t, MergeFiles& f, std::size_t slice_bytes)
      : task{std::move(t)}, files{f}, by_input{task.spec.shape.order == ResultOrder::input},
        segments{files, slice_bytes}, written{files, slice_bytes}, items{files, task.counts.total,
                                                                         slice_bytes},
        strategy{strategy_for(task.spec)}, facts{strategy->wants_vectors()} {
    if (output_form(task.spec.output) == OutputForm::npy) array.emplace(files, task.counts.total);
  }

  Result<> step();
  Result<> index();
  Result<> note_place(const PlacedLine& line);
  Result<> search();
  Result<> write();
  Result<> write_line(const PlacedLine& line);
  Result<bool> holds(const PlacedLine& line);
  Result<> finish();

  MergeTask task;
  MergeFiles& files;
  bool by_input;
  Phase phase = Phase::index;
  MergeStep end; // in Phase::over

  SegmentScan segments;              // for index
  SegmentScan written;               // for write, in the order of completion
  ItemScan items;                    // for write, in the order of the input
  std::uint64_t items_with_line = 0; // of index
  std::uint64_t searched = 0;
  std::uint64_t lines = 0; // written
  Summary summary;
  std::unique_ptr<Strategy> strategy;
  LineFactsReader facts;
  std::optional<ArrayWriter> array; // in place of lines
};

Result<> Merger::Work::step() {
  switch (phase) {
  case Phase::index: return index();
  case Phase::search: return search();
  case Phase::write: return write();
  case Phase::finish: return finish();
  case Phase::over: break;
  }
  return {};
}

Result<> Merger::Work::index() {
  const auto more = segments.read_slice();
  GRISTMILL_TRY(more);
  while (const auto line = segments.next_line()) GRISTMILL_TRY(note_place(*line));
  if (!*more) phase = items_with_line == task.counts.total ? Phase::write : Phase::search;
  return {};
}

// A later line of an item is of a later generation, and holds.
Result<> Merger::Work::note_place(const PlacedLine& line) {
  const auto where = [&] { return describe(files, line.place.segment, line.place.offset); };
  const auto read = openai::check_result_line(line.text);
  if (!read)
    return fail(ErrorCode::io, fmt::format("{}: {}; the file was changed after it was written: "
                                           "restore it",
                                           where(), read.error().message));
  if (read->item >= task.counts.total)
    return fail(ErrorCode::io,
                fmt::format("{}: expected a line of the {} items of {}, got one of "
                            "item {}: restore the file of this job",
                            where(), task.counts.total, to_string(task.job), read->item));
  const auto before = files.place_of(read->item);
  GRISTMILL_TRY(before);
  if (before->bytes == 0) ++items_with_line;
  if (before->bytes != 0 && mutated("merge_takes_first_line")) return {};
  return files.put_place(read->item, line.place);
}

Result<> Merger::Work::search() {
  for (std::uint64_t i = 0; i < items_per_slice && searched < task.counts.total; ++i, ++searched) {
    const auto place = files.place_of(searched);
    GRISTMILL_TRY(place);
    if (place->bytes == 0)
      return fail(ErrorCode::io,
                  fmt::format("item {} has no line in the {} segments of {}, {} of {} items have "
                              "one: no result was written; restore the segments",
                              searched, files.segment_count(), to_string(task.job), items_with_line,
                              task.counts.total));
  }
  GRISTMILL_CHECK(searched < task.counts.total, "{} of {} items have a line, none is missing",
                  items_with_line, task.counts.total);
  return {};
}

Result<> Merger::Work::write() {
  const auto more = by_input ? items.read_slice() : written.read_slice();
  GRISTMILL_TRY(more);
  while (const auto line = by_input ? items.next_line() : written.next_line())
    GRISTMILL_TRY(write_line(*line));
  if (!*more) phase = Phase::finish;
  return {};
}

Result<> Merger::Work::write_line(const PlacedLine& line) {
  if (!by_input) {
    const auto held = holds(line);
    GRISTMILL_TRY(held);
    if (!*held) return {};
  }
  const LineFacts& read = facts.read(line.text);
  summary.add(read);
  strategy->add(read);
  ++lines;
  return array ? array->add(read) : files.write(line.with_newline());
}

Result<bool> Merger::Work::holds(const PlacedLine& line) {
  const auto read = openai::check_result_line(line.text);
  GRISTMILL_TRY(read);
  const auto place = files.place_of(read->item);
  GRISTMILL_TRY(place);
  return place->segment == line.place.segment && place->offset == line.place.offset;
}

Result<> Merger::Work::finish() {
  if (array) GRISTMILL_TRY(array->finish());
  auto file = files.finish();
  GRISTMILL_TRY(file);
  file->lines = lines;
  std::string text = summary.json(task, *file, *strategy);
  GRISTMILL_TRY(files.write_summary(text));
  end = {.done = true,
         .failure = {},
         .code = {},
         .file = std::move(*file),
         .summary = std::move(text),
         .errors = summary.errors(task.errors)};
  phase = Phase::over;
  return {};
}

Merger::Merger(MergeTask task, MergeFiles& files, std::size_t slice_bytes)
    : work_{std::make_unique<Work>(std::move(task), files, slice_bytes)} {}
Merger::~Merger() = default;

MergeStep Merger::step() {
  if (auto stepped = work_->step(); !stepped) {
    work_->end.code = stepped.error().code;
    work_->end.failure = std::move(stepped.error().message);
    work_->phase = Work::Phase::over;
  }
  return work_->end;
}

} // namespace gristmill::merger
