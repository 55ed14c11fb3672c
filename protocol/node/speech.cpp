#include "protocol/node/speech.hpp"

#include <optional>
#include <utility>

namespace gristmill::protocol {

void Speech::begin() {
  seq_ = 0;
  waiting_.clear();
}

std::vector<Speech::Left> Speech::leave(Envelope envelope) {
  std::vector<Left> frames;
  std::optional<FrameWriter> writer;
  const auto end = [&] {
    if (writer) frames.back().bytes = writer->take();
    writer.reset();
  };
  for (Message& message : std::exchange(waiting_, {})) {
    const bool alone = stands_alone(message);
    if (alone || !writer || !writer->add(message)) {
      end();
      envelope.seq = ++seq_;
      frames.push_back({seq_, {}, {}});
      writer.emplace(envelope);
      writer->add(message);
    }
    frames.back().messages.push_back(std::move(message));
    if (alone) end();
  }
  end();
  return frames;
}

} // namespace gristmill::protocol
