#include "coordinator/inputs/tokenizers.hpp"

#include "protocol/limits.hpp"

#include <fmt/format.h>
#include <span>

namespace gristmill::coordinator {
namespace {

Result<std::string> ranks_in(const InputRoots& roots, const std::string& path) {
  const auto unreadable = [&path](const Error& why) {
    return fail(why.code, fmt::format("{}: expected a readable rank file, got \"{}\"; name a "
                                      ".tiktoken file, or put it back",
                                      path, why.message));
  };
  const auto opened = roots.open_file(path);
  if (!opened) return unreadable(opened.error());
  const std::uint64_t bytes = opened->about.bytes;
  if (bytes > limits::rank_file_bytes_max)
    return fail(ErrorCode::bad_input,
                fmt::format("{}: expected a rank file of at most {} bytes, got {}; name a "
                            ".tiktoken file",
                            path, limits::rank_file_bytes_max, bytes));
  std::string ranks(bytes, '\0');
  std::size_t had = 0;
  while (had < ranks.size()) {
    const auto got = opened->file->read(had, std::span{ranks}.subspan(had));
    if (!got) return unreadable(got.error());
    if (*got == 0) break; // it was cut meanwhile, and is not the one that it was
    had += *got;
  }
  ranks.resize(had);
  return ranks;
}

} // namespace

TokenizerId id_of(const bpe::Tokenizer& tokenizer) {
  return {tokenizer.name(), tokenizer.hash()};
}

Result<SharedTokenizer> read_tokenizer(const InputRoots& roots, const std::string& path,
                                       std::string_view encoding) {
  const auto ranks = ranks_in(roots, path);
  GRISTMILL_TRY(ranks);
  auto tokenizer = bpe::Tokenizer::read(*ranks, encoding);
  if (!tokenizer)
    return fail(tokenizer.error().code, fmt::format("{}: {}", path, tokenizer.error().message));
  return std::make_shared<const bpe::Tokenizer>(std::move(*tokenizer));
}

Result<SharedTokenizer> tokenizer_of(const JobSpec& spec, const InputRoots& roots) {
  if (spec.shape.tokenizer.empty()) return SharedTokenizer{};
  const auto id = tokenizer_id_from(spec.shape.tokenizer);
  if (!id)
    return fail(ErrorCode::bad_input, fmt::format("expected ENCODING@SHA-256 as a job's tokenizer, "
                                                  "got \"{}\"",
                                                  spec.shape.tokenizer));
  auto tokenizer = read_tokenizer(roots, spec.tokenizer_file, id->encoding);
  GRISTMILL_TRY(tokenizer);
  if (id_of(**tokenizer) == *id) return tokenizer;
  return fail(ErrorCode::bad_input,
              fmt::format("{}: expected the rank file that the job began with, whose SHA-256 is "
                          "{}, got one with {}; put the old file back to go on, or begin anew",
                          spec.tokenizer_file, id->sha256, (*tokenizer)->hash()));
}

Result<SharedTokenizer> Tokenizers::open(const JobSpec& spec, const InputRoots& roots) {
  const std::string& id = spec.shape.tokenizer;
  if (id.empty()) return SharedTokenizer{};
  const std::lock_guard lock{mutex_};
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  if (const auto known = known_.find(id); known != known_.end())
    if (SharedTokenizer shared = known->second.lock()) return shared;
  if (known_.size() >= limits::tokenizers_max)
    return fail(ErrorCode::unavailable,
                fmt::format("{} other tokenizers are in use, of other jobs", known_.size()));
  auto tokenizer = tokenizer_of(spec, roots);
  if (tokenizer) known_[id] = *tokenizer;
  return tokenizer;
}

} // namespace gristmill::coordinator
