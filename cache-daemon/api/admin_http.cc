#include "cache-daemon/api/admin_http.h"

#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include <fmt/format.h>

#include "base/thread.h"
#include "base/worker_pool.h"

namespace weighhouse::api {
namespace {

constexpr int kThreads = 4;
constexpr std::chrono::seconds kPatience{3};  ///< with a client, for each piece of its request

/// The server's threads. A connection that finds all of them busy is not taken, so that those who
/// connect and say nothing use up no descriptors of ours: the kernel's queue is short.
class HttpWorkers final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> answer) override {
    {
      MutexLock lock(mutex_);
      while (busy_ == kThreads) free_.Wait(lock);
      ++busy_;
    }
    threads_.Post([this, answer = std::move(answer)] {
      answer();
      {
        MutexLock lock(mutex_);
        --busy_;
      }
      free_.NotifyOne();
    });
  }
  void shutdown() override { threads_.Stop(); }

 private:
  Mutex mutex_;
  ConditionVariable free_;
  int busy_ GUARDED_BY(mutex_) = 0;
  WorkerPool threads_{"admin-http", kThreads};
};

using MakePage = AdminPages::Page (AdminPages::*)();

class HttplibServer final : public AdminHttp {
 public:
  explicit HttplibServer(AdminPages& pages) : pages_(pages) {
    server_.new_task_queue = [] { return new HttpWorkers(); };  // httplib deletes it
    // Not httplib's, which are SO_REUSEPORT too: a second daemon would share the port unnoticed.
    server_.set_socket_options([](socket_t socket) {
      int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    // One answer a connection: one that is kept for the next question keeps a thread.
    server_.set_keep_alive_max_count(1);
    server_.set_read_timeout(kPatience);
    server_.set_write_timeout(kPatience);
    server_.set_payload_max_length(0);
    Serve("/metrics", &AdminPages::Metrics, metrics::Registry::kContentType);
    Serve("/healthz", &AdminPages::Healthz, "text/plain");
    Serve("/readyz", &AdminPages::Readyz, "text/plain");
  }
  ~HttplibServer() override {
    server_.stop();
    if (acceptor_.joinable()) acceptor_.join();
  }

  Result<> Listen(const ListenAddress& address) {
    address_ = address;
    // Every address: that of IPv6 takes connections by IPv4 too, but a kernel may be without it.
    bool any = address.host.empty();
    errno = 0;
    if (!Bind(any ? "::" : address.host) && !(any && Bind("0.0.0.0"))) {
      std::string why = errno != 0 ? std::strerror(errno) : "no such address on this machine";
      return Fail(Code::kFailedPrecondition,
                  fmt::format("listen on {}: {}: give another address, or 'off', as admin.listen",
                              address.ToString(), why));
    }
    acceptor_ = StartThread("admin-accept", [this](const std::stop_token&) {
      server_.listen_after_bind();
      ended_ = true;
    });
    while (!server_.is_running() && !ended_) std::this_thread::yield();  // stop() needs it to run
    return {};
  }
  const ListenAddress& address() const override { return address_; }

 private:
  void Serve(const char* path, MakePage make, const char* content_type) {
    server_.Get(path,
                [this, make, content_type](const httplib::Request&, httplib::Response& answer) {
                  AdminPages::Page page = (pages_.*make)();
                  answer.status = page.status;
                  answer.set_content(page.text, content_type);
                });
  }

  bool Bind(const std::string& host) {
    if (address_.port != 0) return server_.bind_to_port(host, address_.port);
    int port = server_.bind_to_any_port(host);
    if (port > 0) address_.port = static_cast<uint16_t>(port);
    return port > 0;
  }

  AdminPages& pages_;
  httplib::Server server_;
  ListenAddress address_;
  std::atomic<bool> ended_ = false;
  std::jthread acceptor_;
};

}  // namespace

Result<std::unique_ptr<AdminHttp>> AdminHttp::Start(const ListenAddress& address,
                                                    AdminPages& pages) {
  auto server = std::make_unique<HttplibServer>(pages);
  TRY(server->Listen(address));
  return server;
}

}  // namespace weighhouse::api
