// KNOWN ANSWER: what an earlier call was answered, as far as another item takes it.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill {

struct KnownAnswer {
  std::uint32_t http_status = 200;
  std::string request_id, model, endpoint; // endpoint: URL
  std::string body;                        // one line of JSON
  bool operator==(const KnownAnswer&) const = default;
};

namespace openai {
// Of the line of an item, or a part, that was answered; bad_input for any other text.
Result<KnownAnswer> answer_in(std::string_view line);
} // namespace openai

} // namespace gristmill
