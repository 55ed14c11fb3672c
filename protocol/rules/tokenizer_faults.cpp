#include "protocol/rules/tokenizer_faults.hpp"

#include "protocol/job/tokenizer_id.hpp"
#include "protocol/limits.hpp"

namespace gristmill {

void check_tokenizer(const JobSpec& spec, Faults& faults) {
  const std::string &id = spec.shape.tokenizer, &file = spec.tokenizer_file;
  if (id.empty() && file.empty()) return;
  faults.text("--tokenizer", file, limits::text_bytes_max);
  if (file.empty())
    faults.add_quoted("--tokenizer", "the rank file that its tokens are counted by", id);
  else if (!tokenizer_id_from(id))
    faults.add_quoted("--tokenizer", "ENCODING@SHA-256 of the rank file", id);
}

} // namespace gristmill
