#include "connection.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace gristmill::simllm {
namespace {

const std::string spaces(64u << 10, ' ');

} // namespace

Connection::Connection(int fd, std::uint32_t index_in_loop, std::uint64_t number_in_log)
    : index(index_in_loop), number(number_in_log), reader(simdjson::SIMDJSON_PADDING), fd_(fd) {}

Connection::~Connection() {
  close();
}

void Connection::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Connection::reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

void Connection::set_reply(Reply reply) {
  reply_ = std::move(reply);
  sent_ = 0;
}

Connection::Sent Connection::send_reply() {
  for (auto piece = next_piece(); !piece.empty(); piece = next_piece()) {
    const auto count = ::send(fd_, piece.data(), piece.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      sent_ += static_cast<std::uint64_t>(count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return Sent::blocked;
    } else if (errno != EINTR) {
      return Sent::broken;
    }
  }
  return Sent::all;
}

void Connection::send_continue() {
  constexpr std::string_view leave = "HTTP/1.1 100 Continue\r\n\r\n";
  // A client whose receive buffer is full before its first reply does not exist; if it did, it
  // would send its body after its own patience, as the standard says.
  [[maybe_unused]] const auto sent = ::send(fd_, leave.data(), leave.size(), MSG_NOSIGNAL);
}

std::string_view Connection::next_piece() const {
  const std::string_view bytes = reply_.bytes;
  const std::size_t head_end = reply_.pad_bytes == 0 ? bytes.size() : reply_.pad_at;
  if (sent_ < head_end) return bytes.substr(sent_, head_end - sent_);
  const std::uint64_t padded = sent_ - head_end;
  if (padded < reply_.pad_bytes) {
    return std::string_view(spaces).substr(0, reply_.pad_bytes - padded);
  }
  return bytes.substr(sent_ - reply_.pad_bytes);
}

} // namespace gristmill::simllm
