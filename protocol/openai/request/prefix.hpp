// PREFIX: calls that begin alike, so that a server which has read that beginning gets them.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/openai/template/document_template.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gristmill::openai {

// A name for how the request begins: the hash of the first `prefix_bytes` of its messages (or
// instructions, prompt, input) as the line spells them, or of the system text and the prompt with
// the item's fields in their places. 0 = it is shorter, or an embedding: nothing is worth sharing.
inline constexpr std::size_t prefix_bytes = 1'024;
std::uint64_t prefix_of(const JobSpec& spec, ItemKind kind, std::string_view raw);
// The same for a job that has many items.
std::uint64_t prefix_of(const JobSpec& spec, const DocumentTemplate& documents, ItemKind kind,
                        std::string_view raw);

} // namespace gristmill::openai
