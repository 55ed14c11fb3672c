#include "worker/link/link_trouble.hpp"

#include <fmt/format.h>

namespace gristmill::worker {

std::string sentence_of(LinkTrouble trouble, const std::string& coordinator,
                        const std::optional<WorkerAccess>& access) {
  switch (trouble) {
  case LinkTrouble::key_refused:
    return fmt::format(
        "the coordinator at {} does not know this worker's key: add the line `{} {}` "
        "to its workers.allow",
        coordinator, access ? access->name : "", access ? access->keys.public_key : "");
  case LinkTrouble::handshake_failed:
    return fmt::format("the handshake with {} failed: {}, or it is no coordinator", coordinator,
                       access ? "its key is not the server_key that this worker was given, or it "
                                "was started without --keys"
                              : "it asks for keys (give --access FILE or --keys DIR)");
  case LinkTrouble::connection_ended:
    return fmt::format("the connection to the coordinator at {} ended", coordinator);
  case LinkTrouble::nobody_answers:
    return fmt::format("nobody answers at {}; it is dialled again and again", coordinator);
  case LinkTrouble::takes_no_frames:
    return fmt::format("the coordinator at {} takes no more frames; the connection is made anew",
                       coordinator);
  }
  return {};
}

} // namespace gristmill::worker
