// TOKENIZERS: the rank files by which jobs count their tokens. A file is read like any input, below
// the roots that jobs may read; it must be the one that the job began with, wherever it lies now.
// Jobs that count by the same one share it. Invariant: of each tokenizer at most one is in memory
// for all jobs, as long as one of them needs it, and at most limits::tokenizers_max different ones.
#pragma once

#include "coordinator/inputs/roots.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/tokenizer_id.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/result.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

using SharedTokenizer = std::shared_ptr<const bpe::Tokenizer>;

// Whatever its ranks are. `encoding`: empty = it follows from their number. An error names the
// file; unavailable: it cannot be read now.
Result<SharedTokenizer> read_tokenizer(const InputRoots& roots, const std::string& path,
                                       std::string_view encoding);
TokenizerId id_of(const bpe::Tokenizer& tokenizer);
// That of a job, read anew; nullptr = its tokens are estimated. bad_input: it is another one than
// the job says.
Result<SharedTokenizer> tokenizer_of(const JobSpec& spec, const InputRoots& roots = {});

// Any thread.
class Tokenizers {
public:
  // As tokenizer_of(); unavailable also: other jobs have too many.
  Result<SharedTokenizer> open(const JobSpec& spec, const InputRoots& roots);

private:
  std::mutex mutex_; // held while a file is read, so that it is read once
  std::map<std::string, std::weak_ptr<const bpe::Tokenizer>> known_; // by id
};

} // namespace gristmill::coordinator
