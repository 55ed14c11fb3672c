#include "worker/http/connection_book.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gristmill::worker {

namespace {

// "https://user@host:443/v1" → "https://user@host:443"
std::string_view without_path(std::string_view url) {
  const auto scheme = url.find("://");
  const auto start = scheme == std::string_view::npos ? 0 : scheme + 3;
  return url.substr(0, url.find_first_of("/?#", start));
}

} // namespace

std::string_view host_and_port(std::string_view url) {
  std::string_view host = without_path(url);
  if (const auto scheme = host.find("://"); scheme != std::string_view::npos)
    host.remove_prefix(scheme + 3);
  if (const auto user = host.rfind('@'); user != std::string_view::npos)
    host.remove_prefix(user + 1);
  return host;
}

std::uint32_t ConnectionBook::host_of(std::string_view url) {
  const std::string_view key = without_path(url);
  if (const auto known = host_ids_.find(key); known != host_ids_.end()) return known->second;
  const auto id = static_cast<std::uint32_t>(hosts_.size());
  hosts_.emplace_back();
  host_ids_.emplace(key, id);
  return id;
}

bool ConnectionBook::take(Seat& seat) {
  const Host& host = hosts_[seat.host];
  for (std::uint32_t shard = 0; shard < host.slots.size(); ++shard) {
    const Slot& here = host.slots[shard];
    if (here.standing * host.streams <= here.used || calls_[shard] >= shard_calls_max) continue;
    seat.shard = shard;
    ++slot(seat.host, shard).used;
    ++calls_[shard];
    return true;
  }
  if (connecting_ >= connecting_max || host.connecting >= connecting_per_host_max) return false;
  const auto roomy = std::find_if(calls_.begin(), calls_.end(),
                                  [](std::uint32_t calls) { return calls < shard_calls_max; });
  seat.shard = static_cast<std::uint32_t>(roomy - calls_.begin());
  if (roomy == calls_.end()) calls_.push_back(0);
  ++calls_[seat.shard];
  set_connecting(seat, true);
  return true;
}

void ConnectionBook::leave(Seat& seat) {
  if (seat.connecting) {
    set_connecting(seat, false);
  } else {
    --slot(seat.host, seat.shard).used;
  }
  --calls_[seat.shard];
}

void ConnectionBook::socket_opened(Seat& seat, int fd) {
  const auto index = static_cast<std::size_t>(fd);
  if (index >= sockets_.size()) sockets_.resize(index + 1);
  if (seat.serial == 0) seat.serial = ++serial_;
  sockets_[index] = {seat.host, seat.shard, seat.serial, true, false};
  seat.other_fd = std::exchange(seat.fd, fd);
  if (seat.connecting) return;
  // The free connection that was meant for this call turned out to be gone.
  --slot(seat.host, seat.shard).used;
  set_connecting(seat, true);
}

void ConnectionBook::connected(Seat& seat) {
  if (!seat.connecting) return;
  set_connecting(seat, false);
  Slot& here = slot(seat.host, seat.shard);
  ++here.used;
  Socket* own = own_socket(seat);
  if (own == nullptr) return; // libcurl found a free one after all
  own->standing = true;
  ++here.standing;
}

void ConnectionBook::hung_up(int fd) {
  Socket* gone = socket(fd);
  if (gone == nullptr || !gone->standing) return;
  gone->standing = false;
  --slot(gone->host, gone->shard).standing;
}

void ConnectionBook::socket_closed(int fd) {
  hung_up(fd);
  if (Socket* gone = socket(fd)) gone->open = false;
}

void ConnectionBook::multiplexes(std::uint32_t host) {
  hosts_[host].streams = streams_per_connection;
}

ConnectionBook::Slot& ConnectionBook::slot(std::uint32_t host, std::uint32_t shard) {
  auto& slots = hosts_[host].slots;
  if (shard >= slots.size()) slots.resize(shard + 1);
  return slots[shard];
}

ConnectionBook::Socket* ConnectionBook::socket(int fd) {
  if (fd < 0 || static_cast<std::size_t>(fd) >= sockets_.size()) return nullptr;
  Socket& found = sockets_[static_cast<std::size_t>(fd)];
  return found.open ? &found : nullptr;
}

// The one that won the race; libcurl has closed the other.
ConnectionBook::Socket* ConnectionBook::own_socket(const Seat& seat) {
  for (const int fd : {seat.fd, seat.other_fd}) {
    Socket* found = socket(fd);
    if (found != nullptr && found->serial == seat.serial) return found;
  }
  return nullptr;
}

void ConnectionBook::set_connecting(Seat& seat, bool connecting) {
  if (seat.connecting == connecting) return;
  seat.connecting = connecting;
  if (connecting) {
    ++hosts_[seat.host].connecting;
    ++connecting_;
  } else {
    --hosts_[seat.host].connecting;
    --connecting_;
  }
}

} // namespace gristmill::worker
