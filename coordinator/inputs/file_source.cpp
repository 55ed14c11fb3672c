#include "coordinator/inputs/file_source.hpp"

#include "coordinator/inputs/digest.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t open_files_max = 16, unpack_bytes = 256 * 1024;

Error input_error(const std::string& path, const Error& why) {
  return {why.code, fmt::format("{}: expected a readable input file: {}", path, why.message)};
}

tl::unexpected<Error> changed(const InputSpec& input, std::string_view got) {
  const std::string what = input.offset > 0 ? "file" : fmt::format("{} bytes", input.bytes);
  return fail(ErrorCode::bad_input,
              fmt::format("{}: expected the {} that the job began with, got {}; put the old file "
                          "back to go on, or begin anew",
                          input.path, what, got));
}

// Whether the file is as long as it was when the job was made, as far as that was looked at.
Result<> check_size(const InputSpec& input, std::uint64_t size) {
  if (input.offset > 0 && (input.offset > size || input.bytes > size - input.offset))
    return fail(ErrorCode::bad_input,
                fmt::format("{}: expected {} at bytes {} to {} of it, got {} bytes in all",
                            input.path, input.name, input.offset, input.offset + input.bytes,
                            size));
  const bool looked_at = input.modified_ns != 0 || input.bytes != 0;
  if (looked_at && input.offset == 0 && size != input.bytes)
    return changed(input, fmt::format("{} bytes", size));
  return {};
}

// Of a file that was looked at. Where it ends sooner, items are missing that nobody would miss.
tl::unexpected<Error> shortened(const journal::ByteReader& file, const std::string& path,
                                std::uint64_t ends_at) {
  return fail(ErrorCode::bad_input,
              fmt::format("{}: expected the {} bytes that the job began with, got {}: the file was "
                          "cut while it was read; put the old file back to go on, or begin anew",
                          path, ends_at, file.state().bytes));
}

// The bytes at a place of the file; fewer than asked for only where it ended when the job began.
Result<std::size_t> read_whole(const journal::ByteReader& file, const std::string& path,
                               std::uint64_t ends_at, std::uint64_t offset, std::span<char> into) {
  std::size_t had = 0;
  for (;;) {
    const auto got = file.read(offset + had, into.subspan(had));
    if (!got) return tl::unexpected{input_error(path, {ErrorCode::bad_input, got.error().message})};
    had += *got;
    if (had == into.size() || offset + had >= ends_at) return had;
    if (*got == 0) return shortened(file, path, ends_at);
  }
}

// Another job's file is closed if there is no descriptor left for this one's.
template <class Open> auto with_room(OpenInputs& held, Open open) {
  for (;;) {
    auto opened = open();
    if (opened || opened.error().code != ErrorCode::unavailable || !held.let_go_one())
      return opened;
  }
}

} // namespace

Result<std::unique_ptr<intake::ByteSource>> FileSource::open(const std::vector<InputSpec>& inputs,
                                                             std::string scratch_directory,
                                                             InputAccess access) {
  if (!access.held) access.held = std::make_shared<OpenInputs>(open_files_max);
  auto list = with_room(*access.held, [&] { return InputList::open(inputs, access.roots); });
  GRISTMILL_TRY(list);
  const bool listed = list->is_listed();
  std::unique_ptr<FileSource> source{
      new FileSource{std::move(*list), std::move(scratch_directory), std::move(access)}};
  if (!listed)
    for (std::uint32_t n = 0; n < inputs.size(); ++n)
      GRISTMILL_TRY(
          with_room(*source->access_.held, [&] { return source->open_checked(n, inputs[n]); }));
  return source;
}

Result<OpenedFile> FileSource::open_checked(std::uint32_t input, const InputSpec& spec) {
  constexpr std::size_t touched_max = 1'024; // of more, each is compared again when it is opened
  auto opened = access_.roots.open_file(spec.path);
  if (!opened) return tl::unexpected{input_error(spec.path, opened.error())};
  GRISTMILL_TRY(check_size(spec, opened->about.bytes));
  const std::uint64_t modified = opened->about.modified_ns;
  if (spec.modified_ns == 0 || spec.modified_ns == modified) return opened;
  if (const auto known = touched_.find(input); known != touched_.end() && known->second == modified)
    return opened;
  if (spec.digest.empty()) return changed(spec, "something modified since");
  const auto digest = digest_of(*opened->file, spec.path);
  if (!digest) return tl::unexpected{input_error(spec.path, digest.error())};
  if (*digest != spec.digest) return changed(spec, "as many of another content");
  if (touched_.size() < touched_max) touched_[input] = modified;
  return opened;
}

FileSource::~FileSource() {
  while (!known_.empty()) let_go(known_.begin());
}

Result<const InputSpec*> FileSource::spec_of(std::uint32_t input) {
  if (input >= inputs_.count()) return &appended_.at(input - inputs_.count());
  return with_room(*access_.held, [&] { return inputs_.at(input); });
}

Result<std::string> FileSource::name_of(std::uint32_t input) {
  const auto found = spec_of(input);
  GRISTMILL_TRY(found);
  return (*found)->name;
}

std::unique_ptr<intake::ScratchPages> FileSource::scratch() {
  return std::make_unique<DiskScratchPages>(scratch_directory_);
}

void FileSource::let_go(std::list<Known>::iterator known) {
  if (const auto open = known->open.lock()) access_.held->let_go(open);
  known_.erase(known);
}

Result<FileSource::Opened> FileSource::opened(std::uint32_t input) {
  const auto known =
      std::find_if(known_.begin(), known_.end(), [&](const Known& k) { return k.input == input; });
  Opened open = known == known_.end() ? nullptr : known->open.lock();
  if (!open) {
    if (known != known_.end()) known_.erase(known);
    auto anew = open_anew(input);
    GRISTMILL_TRY(anew);
    open = std::move(*anew);
    if (known_.size() >= open_files_max) let_go(std::prev(known_.end()));
    known_.push_front({input, open});
  } else {
    known_.splice(known_.begin(), known_, known);
  }
  access_.held->hold(open);
  return open;
}

Result<FileSource::Opened> FileSource::open_anew(std::uint32_t input) {
  const auto found = spec_of(input);
  GRISTMILL_TRY(found);
  const InputSpec& spec = **found;
  auto file = with_room(*access_.held, [&] { return open_checked(input, spec); });
  GRISTMILL_TRY(file);
  auto open = std::make_shared<OpenInput>();
  open->path = spec.path;
  open->ends_at = spec.offset + spec.bytes;
  open->file = std::move(file->file);
  if (spec.offset > 0) {
    open->from = spec.offset;
    open->bytes = spec.bytes;
  }
  open->grows = spec.grows;
  if (!spec.grows) GRISTMILL_TRY(find_packing(*open, spec.name));
  if (!spec.grows && !open->unpacked) open->shared = below_shared(spec.path);
  return open;
}

// A name is no promise: workers compare what they read there.
std::string FileSource::below_shared(const std::string& path) const {
  if (access_.shared.empty()) return {};
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error || !is_below(real, access_.shared)) return {};
  return real.lexically_relative(access_.shared).string();
}

intake::ByteSource::SharedPlace FileSource::shared_place_of(std::uint32_t input) {
  if (access_.shared.empty()) return {};
  const auto open = opened(input);
  if (!open || (*open)->shared.empty()) return {};
  return {(*open)->shared, (*open)->from};
}

Result<std::size_t> FileSource::read_input(const OpenInput& open, std::uint64_t offset,
                                           std::span<char> into) {
  if (offset >= open.bytes) return 0;
  const auto size = std::min<std::uint64_t>(into.size(), open.bytes - offset);
  return read_whole(*open.file, open.path, open.ends_at, open.from + offset, into.first(size));
}

// No further than somebody says that it is durable.
Result<std::size_t> FileSource::read_growing(const OpenInput& open, std::uint64_t offset,
                                             std::span<char> into) {
  if (!access_.growth) return read_input(open, offset, into);
  const Growth now = access_.growth(open.path);
  if (offset < now.bytes) {
    const auto size = std::min<std::uint64_t>(into.size(), now.bytes - offset);
    const auto got = read_input(open, offset, into.first(size));
    if (got && *got == 0)
      return fail(ErrorCode::bad_input,
                  fmt::format("{}: expected the {} bytes that were written, got {}: somebody has "
                              "cut the file",
                              open.path, now.bytes, offset));
    return got;
  }
  if (now.ended) return 0;
  if (!now.failure.empty()) return fail(ErrorCode::io, now.failure);
  return fail(ErrorCode::not_yet, "there is no more of it now");
}

// One that cannot be known is asked for when it is read.
bool FileSource::grows(std::uint32_t input) {
  const auto found = spec_of(input);
  return found && (*found)->grows;
}

Result<> FileSource::find_packing(OpenInput& open, std::string_view name) {
  std::array<char, 16> head{};
  const auto got = read_input(open, 0, head);
  GRISTMILL_TRY(got);
  const auto packing = packing_of(name, {head.data(), *got});
  if (!packing)
    return fail(ErrorCode::bad_input, fmt::format("{}: {}", open.path, packing.error().message));
  if (*packing == Packing::none) return {};
  open.unpacked = std::make_unique<ScratchFile>(scratch_directory_);
  // Not by way of the entry, which moves.
  open.unpacker =
      Unpacker::open(*packing,
                     [&file = *open.file, path = open.path, from = open.from, left = open.bytes,
                      ends_at = open.ends_at](std::span<char> into) mutable -> Result<std::size_t> {
                       const auto size = std::min<std::uint64_t>(into.size(), left);
                       auto read = read_whole(file, path, ends_at, from, into.first(size));
                       if (read) {
                         from += *read;
                         left -= *read;
                       }
                       return read;
                     });
  return {};
}

Result<> FileSource::unpack_to(OpenInput& open, std::uint64_t end) {
  std::vector<char> bytes;
  while (open.unpacker && open.unpacked->bytes() < end) {
    bytes.resize(unpack_bytes);
    const auto got = open.unpacker->next(bytes);
    if (!got) return fail(got.error().code, fmt::format("{}: {}", open.path, got.error().message));
    if (*got == 0) {
      open.unpacker.reset();
      return {};
    }
    GRISTMILL_TRY(open.unpacked->append(std::as_bytes(std::span{bytes.data(), *got})));
  }
  return {};
}

Result<std::size_t> FileSource::read(std::uint32_t input, std::uint64_t offset,
                                     std::span<char> into) {
  const auto open = opened(input);
  GRISTMILL_TRY(open);
  if ((*open)->grows) return read_growing(**open, offset, into);
  if (!(*open)->unpacked) return read_input(**open, offset, into);
  if (auto unpacked = unpack_to(**open, offset + into.size()); !unpacked) {
    let_go(known_.begin()); // what came out last may not have been kept: from its beginning again
    return tl::unexpected{unpacked.error()};
  }
  return (*open)->unpacked->read(offset, std::as_writable_bytes(into));
}

} // namespace gristmill::coordinator
