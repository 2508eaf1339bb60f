"""The sentences of the page without a server: English, then Simplified Chinese; the others are the Gradio page's."""

from demo.view.sentences import SENTENCES

# Those of `demo.view.sentences` that it says, too.
SHARED = (
    "caution",
    "tab_photo",
    "tab_webcam",
    "model",
    "all_models",
    "picture",
    "examples",
    "seen",
    "whole_button",
    "photo_empty",
    "no_face",
    "faces_one",
    "faces_many",
    "crop",
    "not_taken",
    "download",
    "download_json",
    "download_csv",
    "face",
    "protocol",
    "framework",
    "camera",
    "camera_denied",
    "camera_missing",
    "camera_failed",
    "camera_nobody",
    "camera_strip",
)
OWN: dict[str, tuple[str, str]] = {
    "web_tagline": (
        "What a small model sees in a face. Everything runs in this browser: no picture leaves this device.",
        "看看小模型从一张脸里看到了什么。一切都在这个浏览器中运行：图片不会离开本设备。",
    ),
    "web_language": ("中文", "English"),
    "web_language_name": ("切换到中文", "Switch to English"),
    "web_tabs": ("Photo or camera", "照片或摄像头"),
    "web_example": ("Drawn example {number}", "程序绘制的示例 {number}"),
    "web_about": ("About this model", "关于这个模型"),
    "web_licences": ("Licences", "许可证"),
    "web_learned": ("Learned from", "训练数据"),
    "web_faces": ("{source}: {counts} faces to train, validate, test", "{source}：训练、验证、测试各 {counts} 张脸"),
    "web_accuracy": ("Accuracy on the test part", "测试部分的准确率"),
    "web_measured": ("{share} of {faces} faces", "{faces} 张脸，{share}"),
    "web_not_stated": ("not in this file", "文件中未记载"),
    "web_selected": ("Epoch selected on", "选取轮次的依据"),
    "web_on_part": ("{part} part: {share} at epoch {epoch}", "{part}部分：第 {epoch} 轮 {share}"),
    "web_proof": ("Proof", "验证"),
    "web_compared": (
        "The file's answers to {faces} test faces are those of the framework: largest difference of a logit {largest}.",
        "文件对 {faces} 张测试脸的回答与训练框架一致：logit 最大差 {largest}。",
    ),
    "web_compared_adopted": (
        "The file's answers to {faces} faces are those of the adopted file: largest difference of a logit {largest}.",
        "文件对 {faces} 张脸的回答与所收编的原文件一致：logit 最大差 {largest}。",
    ),
    "web_unknown": ("unknown: it was adopted, and may know any face", "未知：这是收编的模型，可能见过任何一张脸"),
    "web_said": (
        "unknown: it was adopted, and may know any face; whoever adopted it says: {said}",
        "未知：这是收编的模型，可能见过任何一张脸；收编者称：{said}",
    ),
    "web_adopted": ("Adopted from", "收编自"),
    "web_validation": ("Accuracy on a validation part", "验证部分的准确率"),
    "web_validated": ("{share} of {faces} faces of {source}", "{source} 的 {faces} 张脸，{share}"),
    "web_agreement": (
        "In {precision} it gives the same label to {share} of the faces.",
        "{precision} 下 {share} 的脸标签相同。",
    ),
    "web_file": ("File", "文件"),
    "web_size": (
        "{megabytes} MB, {parameters} parameters, {precision}",
        "{megabytes} MB，{parameters} 个参数，{precision}",
    ),
    "web_digest": ("Digest", "摘要"),
    "web_verified": ("{digest}…, verified in this browser", "{digest}…，已在此浏览器中核对"),
    "web_no_simd": (
        "This browser cannot run the models: it has no WebAssembly SIMD. Browsers of 2023 and later have it; update "
        "this one, or open the page in another.",
        "此浏览器无法运行模型：它不支持 WebAssembly SIMD。2023 年及以后的浏览器都支持；请更新，或换一个浏览器打开。",
    ),
    "web_camera_start": ("Start the camera", "打开摄像头"),
    "web_camera_stop": ("Stop the camera", "关闭摄像头"),
    "web_camera_empty": (
        "Start the camera: every frame is read in this browser and kept nowhere.",
        "打开摄像头：每一帧都在此浏览器中识别，不会保存。",
    ),
    "web_camera_insecure": (
        "Browsers give the camera only to pages with https, or of this machine: open this page with https.",
        "浏览器只允许 https 页面或本机页面使用摄像头：请用 https 打开此页面。",
    ),
    "web_latency": (
        "{milliseconds} ms a frame in this browser · {rate} frames a second",
        "此浏览器每帧 {milliseconds} 毫秒 · 每秒 {rate} 帧",
    ),
}


def sentences(is_chinese: bool) -> dict[str, str]:
    """Return all sentences of one language, by key."""
    return {key: both[is_chinese] for key, both in ({key: SENTENCES[key] for key in SHARED} | OWN).items()}
