// ACCESS: who may take part in a cluster, as the key files that `gristmill keygen DIR` writes:
//
//   DIR/coordinator.key   cluster, secret_key                     stays with the coordinator
//   DIR/workers.allow     lines NAME PUBLIC_KEY                   who may join
//   DIR/worker.key        cluster, name, server_key, secret_key   one enrolled worker
//   DIR/worker.access     the same and address                    all that a worker's machine needs
//   DIR/client.token      64 hex digits                           for the HTTP API
//
//   key file = *( "#" comment / NAME " = " VALUE ) ; a line each; "#" comments whole lines only,
//                                                  ; because a key may contain it
//
// A key is curve25519, in Z85. Public keys are not stored where the secret one is, so the two
// cannot disagree. Invariants: no message made here contains a secret; a file that others than its
// owner may open is never read; no file is ever overwritten.
#pragma once

#include "protocol/result.hpp"

#include <map>
#include <string>
#include <string_view>

namespace gristmill {

struct KeyPair {
  std::string public_key, secret_key; // 40 characters each
};
KeyPair make_key_pair();

struct CoordinatorKeys {
  std::string cluster; // 32 hex digits
  KeyPair keys;
  std::string allow_file;
};

struct WorkerAccess {
  std::string address; // empty in a worker.key
  std::string cluster;
  std::string name; // under which the key is enrolled
  std::string server_key;
  KeyPair keys;
};

// Writes all five files and returns what to tell the user. `address` is where workers will find
// the coordinator: tcp://HOST:PORT.
Result<std::string> generate_keys(const std::string& directory, const std::string& address);

Result<CoordinatorKeys> read_coordinator_keys(const std::string& directory);
// A worker.access or worker.key file, or a directory that holds a worker.key.
Result<WorkerAccess> read_worker_access(const std::string& path);
Result<std::string> read_client_token(const std::string& file);

using AllowedKeys = std::map<std::string, std::string, std::less<>>; // name by public key
Result<AllowedKeys> read_allowed_keys(const std::string& file);

// A few digits by which people compare keys.
std::string fingerprint(std::string_view public_key);

// Whether what is sent to this ZeroMQ endpoint may leave the machine, and so must be encrypted.
bool leaves_this_machine(std::string_view endpoint);

} // namespace gristmill
