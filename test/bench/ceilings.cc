// bench-ceilings WHAT …: what this machine can do at best, each printed as {"bytes", "seconds",
// "cpu_seconds"}:
//   sha256 BYTES              hash as many bytes from memory
//   write FILE BYTES          O_DIRECT, io_uring, 8 writes at a time, preallocated, synced
//   recv PORT PATH BYTES      receive them from http://127.0.0.1:PORT/PATH over 4 connections and
//   drop them touch BYTES               touch so much memory and free it: first touch is dear on
//   virtual machines

#include <arpa/inet.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <openssl/evp.h>

#include "base/unique_fd.h"

namespace {

using weighhouse::UniqueFd;

constexpr uint64_t kPiece = 2 << 20;  // one of the fill's buffers
constexpr uint64_t kWorkingSet = 1 << 30;
constexpr unsigned kWritesAtOnce = 8;
constexpr uint64_t kConnections = 4;

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "bench-ceilings: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

double Now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double CpuSeconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

enum class Pages { kSmall, kHuge };

/// Anonymous memory for the rest of the program's life.
std::byte* Memory(uint64_t size, Pages pages) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Die("mmap");
  ::madvise(memory, size, pages == Pages::kHuge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return static_cast<std::byte*>(memory);
}

/// Runs `work` and prints what it took.
template <class Work>
void Measure(uint64_t bytes, Work work) {
  double begin = Now(), cpu = CpuSeconds();
  work();
  std::printf("{\"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f}\n",
              static_cast<unsigned long long>(bytes), Now() - begin, CpuSeconds() - cpu);
}

void MeasureSha256(uint64_t bytes) {
  uint64_t set = std::min(kWorkingSet, bytes);
  std::byte* memory = Memory(set, Pages::kHuge);
  for (uint64_t i = 0; i < set; i += sizeof(uint64_t)) {
    uint64_t value = i * 0x9E3779B97F4A7C15;
    std::memcpy(memory + i, &value, sizeof value);
  }
  Measure(bytes, [&] {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
    for (uint64_t done = 0; done < bytes;) {
      uint64_t offset = done % set;
      uint64_t piece = std::min({kPiece, bytes - done, set - offset});
      EVP_DigestUpdate(context, memory + offset, piece);
      done += piece;
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_DigestFinal_ex(context, digest, nullptr);
    EVP_MD_CTX_free(context);
  });
}

/// Waits for one write of a whole piece.
void Reap(io_uring& ring) {
  io_uring_cqe* done = nullptr;
  if (io_uring_wait_cqe(&ring, &done) != 0) Die("io_uring_wait_cqe");
  if (done->res != static_cast<int>(kPiece)) {
    errno = done->res < 0 ? -done->res : EIO;
    Die("write");
  }
  io_uring_cqe_seen(&ring, done);
}

void WriteAll(int file, uint64_t bytes, const std::byte* memory) {
  io_uring ring{};
  if (io_uring_queue_init(kWritesAtOnce, &ring, 0) != 0) Die("io_uring_queue_init");
  unsigned under_way = 0;
  for (uint64_t offset = 0; offset < bytes; offset += kPiece) {
    if (under_way == kWritesAtOnce) {
      Reap(ring);
      --under_way;
    }
    io_uring_sqe* entry = io_uring_get_sqe(&ring);
    // Which of the buffers is of no matter: their content is not looked at.
    const std::byte* piece = memory + offset / kPiece % kWritesAtOnce * kPiece;
    io_uring_prep_write(entry, file, piece, kPiece, offset);
    io_uring_submit(&ring);
    ++under_way;
  }
  for (; under_way > 0; --under_way) Reap(ring);
  io_uring_queue_exit(&ring);
}

void MeasureWrite(const char* path, uint64_t bytes) {
  bytes = bytes / kPiece * kPiece;
  std::byte* memory = Memory(kWritesAtOnce * kPiece, Pages::kHuge);
  std::memset(memory, 0x5A, kWritesAtOnce * kPiece);
  UniqueFd file(::open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600));
  if (!file) Die(path);
  Measure(bytes, [&] {
    if (::fallocate(file.get(), 0, 0, static_cast<off_t>(bytes)) != 0) Die("fallocate");
    WriteAll(file.get(), bytes, memory);
    if (::fdatasync(file.get()) != 0) Die("fdatasync");
  });
  ::unlink(path);
}

/// One range request on a connection of its own.
void ReceiveRange(uint16_t port, const std::string& path, uint64_t begin, uint64_t end) {
  UniqueFd connection(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    Die("connect");
  std::string request = "GET /" + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" +
                        "Range: bytes=" + std::to_string(begin) + "-" + std::to_string(end - 1) +
                        "\r\n\r\n";
  if (::send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) Die("send");
  std::vector<char> buffer(512 << 10);
  uint64_t received = 0;
  while (true) {
    ssize_t count = ::recv(connection.get(), buffer.data(), buffer.size(), 0);
    if (count < 0) Die("recv");
    if (count == 0) break;
    if (received == 0 && std::memcmp(buffer.data(), "HTTP/1.1 206", 12) != 0) {
      errno = EPROTO;
      Die("not the answer to a range");
    }
    received += static_cast<uint64_t>(count);
  }
  if (received < end - begin) {
    errno = EPIPE;
    Die("the answer is too short");
  }
}

void MeasureReceive(uint16_t port, const std::string& path, uint64_t bytes) {
  Measure(bytes, [&] {
    std::vector<std::jthread> threads;
    for (uint64_t i = 0; i < kConnections; ++i) {
      uint64_t begin = bytes * i / kConnections, end = bytes * (i + 1) / kConnections;
      threads.emplace_back([=] { ReceiveRange(port, path, begin, end); });
    }
  });
}

void MeasureTouch(uint64_t bytes) {
  std::byte* memory = Memory(bytes, Pages::kSmall);
  Measure(bytes, [&] {
    for (uint64_t i = 0; i < bytes; i += 4096) memory[i] = std::byte{1};
  });
}

}  // namespace

int main(int argc, char** argv) {
  std::string what = argc > 1 ? argv[1] : "";
  if (what == "sha256" && argc == 3) {
    MeasureSha256(std::strtoull(argv[2], nullptr, 10));
  } else if (what == "write" && argc == 4) {
    MeasureWrite(argv[2], std::strtoull(argv[3], nullptr, 10));
  } else if (what == "recv" && argc == 5) {
    MeasureReceive(static_cast<uint16_t>(std::strtoul(argv[2], nullptr, 10)), argv[3],
                   std::strtoull(argv[4], nullptr, 10));
  } else if (what == "touch" && argc == 3) {
    MeasureTouch(std::strtoull(argv[2], nullptr, 10));
  } else {
    std::fputs(
        "usage: bench-ceilings sha256 BYTES | write FILE BYTES | recv PORT PATH BYTES | "
        "touch BYTES\n",
        stderr);
    return 2;
  }
  return 0;
}
