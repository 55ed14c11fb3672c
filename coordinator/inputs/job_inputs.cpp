#include "coordinator/inputs/job_inputs.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/finder.hpp"
#include "coordinator/inputs/list.hpp"
#include "coordinator/inputs/tokenizers.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr const char* list_name = "inputs.jsonl";
constexpr std::size_t entry_bytes_max = 256 * 1024;
constexpr std::uint64_t digested_bytes_max = 1u << 30; // of one job's inputs

// The file that a located path leads to, open.
Result<OpenedFile> opened(const Uploads& uploads, const std::string& path,
                          const std::string& asked) {
  auto file = uploads.roots().open_file(path);
  if (file) return file;
  return fail(file.error().code, fmt::format("expected a regular file as input, got \"{}\": {}",
                                             json::printable(asked, 200), file.error().message));
}

// As the job begins with it. An upload is ours and does not change, but a copy of the state may
// have other times.
void stamp(InputSpec& input, const std::string& path, const journal::ByteState& about,
           bool uploaded) {
  input.path = path;
  if (input.offset == 0) input.bytes = about.bytes;
  input.modified_ns = uploaded ? 0 : about.modified_ns;
  input.digest.clear(); // what a client says of it is no digest of ours
  input.grows = false;  // nor do we read what somebody still writes
}

// The lines of a list, one after the other.
class ListLines {
public:
  explicit ListLines(const journal::ByteReader& list) : list_{list} {}
  // The next line without its end; false: there is none, or it is too long.
  Result<bool> next(std::string& line) {
    for (line.clear();;) {
      if (rest_.empty())
        if (const auto more = refill(); !more || !*more)
          return more ? Result<bool>{!line.empty()} : more;
      const std::size_t end = rest_.find('\n');
      const std::string_view part = rest_.substr(0, end);
      if (line.size() + part.size() > entry_bytes_max) return false;
      line += part;
      rest_.remove_prefix(std::min(part.size() + 1, rest_.size()));
      if (end != rest_.npos) return true;
    }
  }
  bool is_at_end() const { return at_end_; }

private:
  Result<bool> refill() {
    const auto got = list_.read(read_, piece_);
    GRISTMILL_TRY(got);
    read_ += *got;
    rest_ = {piece_.data(), *got};
    at_end_ = *got == 0;
    return !at_end_;
  }

  const journal::ByteReader& list_;
  std::string piece_ = std::string(64 * 1024, '\0');
  std::string_view rest_; // of the piece
  std::uint64_t read_ = 0;
  bool at_end_ = false;
};

// As of a job: what of it is held.
const std::vector<InputSpec>& files_of(const Addition& addition) {
  return addition.inputs;
}

} // namespace

// The inputs one after the other: a few are kept as they are, many are written down.
class JobInputs::Listing {
public:
  // `words`: of what there are too many in, and what to do then.
  struct Words {
    const char *whole, *remedy;
  };
  Listing(Uploads& uploads, std::uint64_t files_max, Words words)
      : uploads_{uploads}, files_max_{files_max}, words_{words}, digests_{digested_bytes_max,
                                                                          uploads.roots()} {}

  Result<> add(InputSpec input) {
    if (++files_ > files_max_)
      return fail(ErrorCode::usage,
                  fmt::format("INPUT: expected at most {} files in {}, got more; {}", files_max_,
                              words_.whole, words_.remedy));
    GRISTMILL_TRY(digests_.take(input));
    if (list_) return write(std::move(input));
    few_.push_back(std::move(input));
    return few_.size() <= inputs_in_spec_max ? Result<>{} : begin();
  }

  // To be written down in any case, because its entries are not for themselves.
  Result<> begin() {
    if (list_) return {};
    auto list = uploads_.begin(list_name, std::nullopt);
    GRISTMILL_TRY(list);
    list_ = std::move(*list);
    for (InputSpec& input : few_) GRISTMILL_TRY(write(std::move(input)));
    few_.clear();
    return {};
  }

  Result<std::vector<InputSpec>> finish() {
    if (!list_) return std::move(few_);
    auto list = list_->finish();
    GRISTMILL_TRY(list);
    return std::vector<InputSpec>{listed_input(list->place, files_, list->bytes, digest_.text())};
  }

private:
  Result<> write(InputSpec input) {
    if (!uploads_.id_of(input.path).empty()) GRISTMILL_TRY(link(input.path));
    const std::string line = to_json(input) + "\n";
    digest_.add(line);
    return list_->append(line);
  }

  Result<> link(std::string& path) {
    if (path != linked_from_) {
      auto linked = list_->link(path);
      GRISTMILL_TRY(linked);
      linked_from_ = path;
      linked_ = std::move(*linked);
    }
    path = linked_;
    return {};
  }

  Uploads& uploads_;
  const std::uint64_t files_max_;
  const Words words_;
  InputDigests digests_;
  std::uint64_t files_ = 0;
  std::vector<InputSpec> few_;
  std::unique_ptr<journal::BlobWriter> list_; // none: there are few
  ListDigest digest_;
  std::string linked_from_, linked_; // the last one: the many of a pack stand together
};

JobInputs::JobInputs(Uploads& uploads, const std::vector<std::vector<InputSpec>>& in_use,
                     JobInputsLimits limits)
    : uploads_{uploads}, limits_{limits} {
  for (const std::vector<InputSpec>& inputs : in_use) hold(inputs);
  for (std::size_t n = 0; n < threads_max; ++n)
    threads_.push_back(guarded_thread("job inputs", [this] { run(); }));
}

JobInputs::~JobInputs() {
  {
    const std::lock_guard lock{mutex_};
    ends_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void JobInputs::order(std::function<void()> order) {
  {
    const std::lock_guard lock{mutex_};
    orders_.push_back(std::move(order));
  }
  changed_.notify_one();
}

void JobInputs::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait_until(lock, look_at_, [this] { return ends_ || !orders_.empty(); });
    if (ends_) return;
    std::function<void()> order;
    if (!orders_.empty()) {
      order = std::move(orders_.front());
      orders_.pop_front();
    }
    const auto now = std::chrono::steady_clock::now();
    const bool look = now >= look_at_;
    if (look) look_at_ = now + limits_.look_every;
    lock.unlock();
    if (order) order();
    order = nullptr;
    if (look) {
      const std::lock_guard held{held_mutex_};
      uploads_.blobs().remove_unused(limits_.unused_max,
                                     [this](const std::string& id) { return held_.contains(id); });
    }
    lock.lock();
  }
}

// Nobody removes them meanwhile.
template <class Admitted, class Look>
Result<Admitted> JobInputs::held_while(const std::vector<InputSpec>& named, Look look) {
  const auto asked = located(named);
  hold(asked);
  Result<Admitted> result = look();
  if (result) hold(files_of(*result));
  let_go(asked, false);
  return result;
}

void JobInputs::admit(JobSpec spec, std::function<void(Result<JobSpec>)> then) {
  order([this, spec = std::move(spec), then = std::move(then)] {
    then(held_while<JobSpec>(files_of(spec), [&] { return admitted(spec); }));
  });
}

void JobInputs::admit_more(std::vector<InputSpec> inputs,
                           std::function<void(Result<Addition>)> then) {
  order([this, inputs = std::move(inputs), then = std::move(then)] {
    then(held_while<Addition>(inputs, [&] { return admitted_more(inputs); }));
  });
}

void JobInputs::refused(std::vector<InputSpec> inputs, std::function<void()> released) {
  order([this, inputs = std::move(inputs), released = std::move(released)] {
    for (const bool listed : {true, false}) {
      std::vector<InputSpec> alike;
      std::ranges::copy_if(inputs, std::back_inserter(alike), [listed](const InputSpec& input) {
        return (input.files > 0) == listed;
      });
      let_go(alike, listed);
    }
    if (released) released();
  });
}

void JobInputs::forgotten(std::vector<InputSpec> inputs, std::function<void()> removed) {
  order([this, inputs = std::move(inputs), removed = std::move(removed)] {
    let_go(inputs, true);
    removed();
  });
}

void JobInputs::discard(std::string id, std::function<void(Result<>)> then) {
  order([this, id = std::move(id), then = std::move(then)] {
    const std::string shown = json::printable(id, 100);
    Result<> discarded;
    {
      const std::lock_guard held{held_mutex_};
      if (held_.contains(id))
        discarded = fail(ErrorCode::conflict, fmt::format("a job has the input {}", shown));
      else if (!uploads_.blobs().remove(id))
        discarded = fail(ErrorCode::not_found, fmt::format("there is no input {}", shown));
    }
    then(discarded);
  });
}

// Those that may be read at all.
std::vector<InputSpec> JobInputs::located(const std::vector<InputSpec>& inputs) const {
  std::vector<InputSpec> located;
  for (InputSpec input : inputs) {
    auto path = uploads_.located(input.path);
    if (!path) continue;
    input.path = std::move(*path);
    located.push_back(std::move(input));
  }
  return located;
}

// One for each input that is part of an upload.
std::vector<std::string> JobInputs::ids_of(const std::vector<InputSpec>& inputs) const {
  std::vector<std::string> ids;
  for (const InputSpec& input : inputs)
    if (std::string id = uploads_.id_of(input.path); !id.empty()) ids.push_back(std::move(id));
  return ids;
}

void JobInputs::hold(const std::vector<InputSpec>& inputs) {
  const std::lock_guard lock{held_mutex_};
  for (const std::string& id : ids_of(inputs)) ++held_[id];
}

void JobInputs::let_go(const std::vector<InputSpec>& inputs, bool remove) {
  const std::lock_guard lock{held_mutex_};
  for (const std::string& id : ids_of(inputs)) {
    const auto held = held_.find(id);
    if (held == held_.end() || --held->second > 0) continue;
    held_.erase(held);
    if (remove) uploads_.blobs().remove(id);
  }
}

// Before the inputs, of which a list may be written.
Result<JobSpec> JobInputs::admitted(JobSpec spec) {
  GRISTMILL_TRY(place_tokenizer(spec));
  Listing listing{
      uploads_, limits_.files_max, {"a job", "put documents together into JSONL files"}};
  for (const InputSpec& input : spec.inputs) {
    auto placed = input.files > 0 ? place_list(input, listing) : place(input, listing);
    GRISTMILL_TRY(placed);
  }
  auto inputs = listing.finish();
  GRISTMILL_TRY(inputs);
  spec.inputs = std::move(*inputs);
  return spec;
}

Result<Addition> JobInputs::admitted_more(const std::vector<InputSpec>& inputs) {
  // Within what a specification holds, so that none of them ever becomes a list.
  const auto files_max = std::min<std::uint64_t>(limits_.files_max, inputs_in_spec_max);
  Listing listing{uploads_, files_max, {"an append", "append them in several"}};
  for (const InputSpec& input : inputs) {
    if (input.files > 0)
      return fail(ErrorCode::usage, "inputs: expected files in an append, got a list of files");
    GRISTMILL_TRY(place(input, listing));
  }
  auto placed = listing.finish();
  GRISTMILL_TRY(placed);
  return addition_of(std::move(*placed), uploads_.roots());
}

// A client may say which it means, by its encoding or by its whole id.
Result<> JobInputs::place_tokenizer(JobSpec& spec) const {
  std::string& said = spec.shape.tokenizer;
  if (spec.tokenizer_file.empty() && said.empty()) return {};
  if (spec.tokenizer_file.empty())
    return fail(ErrorCode::usage,
                fmt::format("tokenizer: expected its rank file as tokenizer_file beside it, got "
                            "\"{}\" alone; upload the file (POST /api/v1/inputs)",
                            json::printable(said, 100)));
  auto path = uploads_.located(spec.tokenizer_file);
  if (!path) return fail(path.error().code, "tokenizer_file: " + path.error().message);
  const auto id = tokenizer_id_from(said);
  const auto tokenizer = read_tokenizer(uploads_.roots(), *path, id ? id->encoding : said);
  if (!tokenizer)
    return fail(tokenizer.error().code, "tokenizer_file " + tokenizer.error().message);
  if (id && *id != id_of(**tokenizer))
    return fail(ErrorCode::bad_input,
                fmt::format("tokenizer_file {}: expected the SHA-256 {}, got {}; upload it anew",
                            *path, id->sha256, (*tokenizer)->hash()));
  said = to_string(id_of(**tokenizer));
  spec.tokenizer_file = std::move(*path);
  return {};
}

// A file, or what lies below a directory of the data root or matches a pattern.
Result<> JobInputs::place(const InputSpec& input, Listing& listing) {
  auto path = uploads_.located(input.path);
  GRISTMILL_TRY(path);
  const bool uploaded = !uploads_.id_of(*path).empty();
  const bool may_be_many = input.offset == 0 && (!uploaded || is_pattern(input.path));
  std::error_code error;
  if (may_be_many &&
      (fs::exists(*path, error) ? fs::is_directory(*path, error) : is_pattern(input.path))) {
    FinderRules rules;
    rules.base = uploads_.data_root();
    rules.real = [this](const std::string& file) { return uploads_.located(file); };
    rules.roots = uploads_.roots();
    const auto found = [&](InputSpec file) { return listing.add(std::move(file)); };
    return InputFinder{std::move(rules), found}.add(input.path);
  }
  const auto file = opened(uploads_, *path, input.path);
  GRISTMILL_TRY(file);
  InputSpec placed = input;
  stamp(placed, *path, file->about, uploaded);
  return listing.add(std::move(placed));
}

// A client's list is one of its uploads: what lies below the data root may change behind us.
Result<> JobInputs::place_list(const InputSpec& list, Listing& listing) {
  const auto path = uploads_.located(list.path);
  GRISTMILL_TRY(path);
  if (uploads_.id_of(*path).empty())
    return fail(ErrorCode::refused, "expected a list of inputs that was uploaded, got one below "
                                    "the data root");
  const auto file = opened(uploads_, *path, list.path);
  GRISTMILL_TRY(file);
  ListLines lines{*file->file};
  GRISTMILL_TRY(listing.begin());
  std::string line, last_asked, last_real;
  journal::ByteState last_about; // many entries in a row may be pieces of one file
  std::uint64_t files = 0;
  for (;; ++files) {
    const auto more = lines.next(line);
    if (!more) return tl::unexpected{cannot_read(*path, more.error())};
    if (!*more) break;
    auto input = input_spec_from_json(line);
    if (!input || input->path.empty() || input->name.empty() || input->files > 0)
      return fail(ErrorCode::usage,
                  fmt::format("{}:{}: {}", list_name, files + 1,
                              input ? "expected an input with path and name, and no list"
                                    : input.error().message));
    if (input->path != last_asked) {
      auto real = uploads_.located(input->path);
      GRISTMILL_TRY(real);
      const auto its_file = opened(uploads_, *real, input->path);
      GRISTMILL_TRY(its_file);
      last_asked = std::move(input->path);
      last_real = std::move(*real);
      last_about = its_file->about;
    }
    stamp(*input, last_real, last_about, !uploads_.id_of(last_real).empty());
    GRISTMILL_TRY(listing.add(std::move(*input)));
  }
  if (files != list.files || !lines.is_at_end())
    return fail(ErrorCode::usage,
                fmt::format("expected a list of {} inputs, each on a line of at most {} bytes, got "
                            "something else after {} of them",
                            list.files, entry_bytes_max, files));
  return {};
}

} // namespace gristmill::coordinator
